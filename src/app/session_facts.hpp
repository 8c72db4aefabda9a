// What is said of a training run: its layout, sizes, expected memory and the rate of its machine.
#pragma once

#include "app/run_data.hpp"
#include "app/training_session.hpp"
#include "train/batch_loader.hpp"
#include "train/run_directory.hpp"
#include "train/run_report.hpp"

namespace ferula {

TransformerSettings transformer_settings(const Config& config);
BatchShape batch_shape(const Config& config, Mesh& mesh);

/// Everything but the data, the peak rate and what it resumes from.
RunFacts facts_of(RankContext& context, const SessionRequest& request, const Config& config,
                  const TransformerSpec& spec, const RunDirectory& directory);
/// What makes a run twice as long as it is, or as what is `done` of it, in the unit that the user chose, for `--set`. A
/// schedule of a length of its own grows, too. `written` may hold "auto".
std::string longer_settings(const Config& written, const Config& resolved, std::int64_t done);
std::string data_in_words(const RunData& data);
/// The matrix rate of all ranks together, in FLOP/s, for `mfu`. Collective. The probe's memory is not the run's: a
/// device and operations of its own count it, and give it back.
double probed_peak(RankContext& run, DType compute);

}  // namespace ferula
