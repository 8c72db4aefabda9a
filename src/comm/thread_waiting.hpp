// How the threads of a rank wait for work.
#pragma once

namespace ferula {

/// OpenMP's threads spin by default, which starves everybody else on a busy machine: a step then takes up to hundreds
/// of times as long. The library reads OMP_WAIT_POLICY when it is loaded, so this starts the program again with it set
/// to passive; a value that the user gave stays. Called first in `main`; returns where nothing is to be done, or where
/// the program cannot be started again.
void wait_without_spinning(char** arguments);

}  // namespace ferula
