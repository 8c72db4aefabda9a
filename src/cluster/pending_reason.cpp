#include "cluster/pending_reason.hpp"

#include <fmt/format.h>

#include <array>

namespace ferula {
namespace {

struct Reason {
  std::string_view beginning;
  std::string_view words;
};

// The first that fits counts: longer beginnings stand before shorter ones.
constexpr std::array<Reason, 26> kReasons{{
    {"Priority", "while others come first"},
    {"Resources", "until nodes are free"},
    {"BeginTime", "until its begin time, a moment where it was queued again"},
    {"DependencyNeverSatisfied", "for ever: the job before it did not end well; scancel it and submit it again"},
    {"Dependency", "for the job that --after names"},
    {"JobArrayTaskLimit", "for other tasks of its array (the number behind %)"},
    {"JobHeldUser", "until you release it: scontrol release JOB"},
    {"JobHeldAdmin", "until the administrators release it"},
    {"launch failed requeued held", "held after a start that failed: scontrol release JOB"},
    {"QOSMaxJobs", "for a job of yours: you run as many as the QOS allows"},
    {"QOSMaxSubmit", "for a job of yours: you have as many as the QOS allows"},
    {"QOSMax", "for ever unless other jobs of yours end: more than the QOS allows you at once"},
    {"QOSGrp", "for jobs of others in this QOS, which is used up"},
    {"QOSJobLimit", "for a job of yours: you run as many as the QOS allows"},
    {"AssocMax", "for jobs of yours: your account allows no more at once"},
    {"AssocGrp", "for jobs of your group, whose share is used up"},
    {"MaxGRES", "for jobs of yours: you use as many GPUs as you may"},
    {"PartitionTimeLimit", "for ever: it asks for more time than the partition allows; lower slurm.time"},
    {"PartitionNodeLimit", "for ever: it asks for more nodes than the partition allows; lower slurm.nodes"},
    {"PartitionDown", "until the partition is up again"},
    {"PartitionInactive", "until the partition is up again"},
    {"ReqNodeNotAvail", "for nodes that are down or reserved: scontrol show reservation"},
    {"Nodes required for job are DOWN", "for nodes that are down, drained or reserved: sinfo -R"},
    {"NodeDown", "for a node that is down: sinfo -R"},
    {"BadConstraints", "for ever: no node has what it asks for; see slurm.options"},
    {"Licenses", "for a licence that others use"},
}};

}  // namespace

std::string reason_in_words(std::string_view reason) {
  std::string_view name = reason;
  if (name.starts_with('(') && name.ends_with(')')) name = name.substr(1, name.size() - 2);
  for (const Reason& each : kReasons)
    if (name.starts_with(each.beginning)) return fmt::format("waits {} ({})", each.words, name);
  return std::string(reason);
}

}  // namespace ferula
