// What only the ranks together can tell: where they are, how fast they compute and talk, whether they share files and
// time.
#pragma once

#include <string>

#include "app/rank_context.hpp"
#include "doctor/system_facts.hpp"

namespace ferula {

/// `quick`: without rates, for checks that do not ask for them.
enum class ProbeDepth : unsigned char { quick, rates };

/// Collective over the world; takes about a second. Leaves nothing in `directory`, which is absolute.
JobFacts job_facts(RankContext& context, const Invocation& invocation, const std::string& directory, ProbeDepth depth);

}  // namespace ferula
