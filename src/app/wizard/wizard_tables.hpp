// The parts of the wizard's table of questions, a file each; `wizard_questions` joins them.
#pragma once

#include <vector>

#include "app/wizard/wizard_question.hpp"

namespace ferula {

std::vector<Question> job_questions();
std::vector<Question> model_questions();
std::vector<Question> training_questions();
std::vector<Question> rare_questions();
std::vector<Question> slurm_questions();

/// Why `answer` is not from `least` to `most`; empty where it is.
std::string outside(const std::string& answer, std::int64_t least, std::int64_t most);

}  // namespace ferula
