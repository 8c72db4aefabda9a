// `ferula checkpoint`: lists a run's checkpoints, shows what is in one, verifies every byte of it, imports models.
#include <boost/json.hpp>

#include <algorithm>
#include <cstdio>

#include "app/action.hpp"
#include "app/checkpoint_import.hpp"
#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/table.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/checkpoint_report.hpp"
#include "checkpoint/set_aside.hpp"
#include "checkpoint/verify.hpp"
#include "train/json_value.hpp"

namespace ferula {
namespace {

constexpr const char* kUnknown = "-";
constexpr std::string_view kWhere = "a run or a checkpoint, e.g. runs/quickstart";

std::string layout_in_words(const WriterLayout& layout) {
  return fmt::format("{} rank{}, ZeRO stage {}", layout.ranks, layout.ranks == 1 ? "" : "s", layout.stage);
}

std::string shape_in_words(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

boost::json::object as_json(const CheckpointEntry& entry) {
  boost::json::object row{{"step", nullptr},
                          {"checkpoint", json_text(entry.checkpoint)},
                          {"bytes", nullptr},
                          {"tokens", nullptr},
                          {"problem", json_text(entry.problem)}};
  if (entry.step) row["step"] = *entry.step;
  if (entry.bytes) row["bytes"] = *entry.bytes;
  if (entry.state) row["tokens"] = entry.state->tokens_seen;
  return row;
}

std::string as_table(const std::vector<CheckpointEntry>& entries) {
  Table table({"checkpoint", "step", "tokens", "size", "written by", "state"}, Table::Last::text);
  for (const CheckpointEntry& entry : entries)
    table.add({entry.checkpoint, entry.step ? fmt::format("{}", *entry.step) : kUnknown,
               entry.state ? human_count(static_cast<double>(entry.state->tokens_seen)) : kUnknown,
               entry.bytes ? human_bytes(*entry.bytes) : kUnknown,
               entry.state ? layout_in_words(entry.state->layout) : kUnknown,
               entry.problem.empty() ? "complete" : entry.problem});
  return table.text();
}

bool is_damaged(const CheckpointEntry& entry) { return !entry.problem.empty(); }

/// For scripts: a list with a damaged checkpoint in it ends with an error.
void refuse_damaged(const std::vector<CheckpointEntry>& entries, const std::string& path) {
  const auto damaged = std::count_if(entries.begin(), entries.end(), is_damaged);
  if (damaged > 0)
    throw DataError(
        fmt::format("{}: expected complete checkpoints, found {} of {} damaged; a resume takes the newest "
                    "good one by itself, `ferula checkpoint verify` tells more of one",
                    path, damaged, entries.size()));
}

ExitCode list(const CommandLine& line, FileSystem& files) {
  const std::string& path = line.positional(1, kWhere);
  const std::vector<CheckpointEntry> entries = list_checkpoints(files, path);
  if (line.has(kJson.name)) {
    for (const CheckpointEntry& entry : entries) print_output("{}\n", boost::json::serialize(as_json(entry)));
  } else {
    print_output("{}", entries.empty() ? fmt::format("no checkpoints in {}\n", path) : as_table(entries));
    if (!std::all_of(entries.begin(), entries.end(), is_damaged))
      print_output("complete: every file is there with its size; `ferula checkpoint verify` compares the bytes\n");
    for (const std::string& name : set_aside_in(files, listed_folder(files, path)))
      print_output("set aside, taken only by its name: {}\n", name);
  }
  refuse_damaged(entries, path);
  return ExitCode::done;
}

std::string in_words(const DamagedCheckpoint& damaged) {
  return fmt::format("{} is damaged: {}", damaged.checkpoint, damaged.problem);
}

std::string roles_in_words(const TensorEntry& tensor) {
  std::vector<std::string> words;
  for (const auto& [role, dtype] : tensor.roles) words.push_back(fmt::format("{} {}", role, name_of(dtype)));
  for (const std::string& alias : tensor.aliases) words.push_back("also " + alias);
  return fmt::format("{}", fmt::join(words, ", "));
}

boost::json::object as_json(const CheckpointDescription& found) {
  boost::json::array tensors;
  for (const TensorEntry& tensor : found.tensors) {
    boost::json::object roles;
    for (const auto& [role, dtype] : tensor.roles) roles[role] = name_of(dtype);
    tensors.push_back({{"name", tensor.name},
                       {"shape", boost::json::value_from(tensor.shape)},
                       {"roles", roles},
                       {"aliases", boost::json::value_from(tensor.aliases)}});
  }
  return {{"checkpoint", json_text(found.checkpoint)},
          {"step", found.state.step},
          {"samples_seen", found.state.samples_seen},
          {"tokens_seen", found.state.tokens_seen},
          {"counters", boost::json::value_from(found.state.counters)},
          {"ranks", found.state.layout.ranks},
          {"zero_stage", found.state.layout.stage},
          {"parameters", found.parameters},
          {"bytes_by_role", boost::json::value_from(found.role_bytes)},
          {"tensors", tensors}};
}

ExitCode show(const CommandLine& line, FileSystem& files) {
  const FoundCheckpoint newest = find_newest_good(files, line.positional(1, kWhere));
  for (const DamagedCheckpoint& damaged : newest.passed_over)
    fmt::print(stderr, "warning: {}; shown is the newest complete one, {}\n", in_words(damaged), newest.checkpoint);
  const CheckpointDescription found = describe_checkpoint(files, newest.checkpoint);
  if (line.has(kJson.name)) {
    print_output("{}\n", boost::json::serialize(as_json(found)));
    return ExitCode::done;
  }
  print_output("{}\n  step {}, {} samples, {} tokens\n  written by {}, {} shard file{}\n  {} parameters\n",
               found.checkpoint, found.state.step, found.state.samples_seen, found.state.tokens_seen,
               layout_in_words(found.state.layout), found.shards, found.shards == 1 ? "" : "s",
               human_count(static_cast<double>(found.parameters)));
  for (const auto& [role, bytes] : found.role_bytes) print_output("  {}: {}\n", role, human_bytes(bytes));
  Table table({"tensor", "shape", "roles"});
  for (const TensorEntry& tensor : found.tensors)
    table.add({tensor.name, shape_in_words(tensor.shape), roles_in_words(tensor)});
  print_output("\n{}\nconfiguration:\n{}", table.text(), found.config_text);
  return ExitCode::done;
}

/// A block of a small model holds a bit of everything: the first tensors say enough on a terminal.
constexpr std::size_t kTensorsShown = 3;

/// "embedding.token.weight (value 0 to 64, master 0 to 64)" for each tensor in the damage, in the order of the file's
/// tensors.
std::vector<std::string> damaged_tensors(const Damage& damage) {
  std::vector<std::string> all;
  std::string_view last;
  for (const DamagedPart& part : damage.parts) {
    const std::string elements = fmt::format("{} {} to {}", part.role, part.first_element, part.end_element);
    if (part.tensor == last) {
      all.back().insert(all.back().size() - 1, ", " + elements);
    } else {
      all.push_back(fmt::format("{} ({})", part.tensor, elements));
    }
    last = part.tensor;
  }
  return all;
}

/// One line a damaged place.
std::string in_words(const Damage& damage) {
  std::vector<std::string> tensors = damaged_tensors(damage);
  if (tensors.empty()) return damage.text;
  const std::size_t hidden = tensors.size() - std::min(kTensorsShown, tensors.size());
  tensors.resize(tensors.size() - hidden);
  if (hidden > 0) tensors.push_back(fmt::format("{} more (--json names all)", hidden));
  return fmt::format("{}; elements of {}", damage.text, fmt::join(tensors, ", "));
}

boost::json::object as_json(const VerifyReport& report, const std::vector<DamagedCheckpoint>& passed_over) {
  boost::json::array newer;
  for (const DamagedCheckpoint& damaged : passed_over)
    newer.push_back({{"checkpoint", json_text(damaged.checkpoint)}, {"problem", json_text(damaged.problem)}});
  boost::json::array damages;
  for (const Damage& damage : report.damages) {
    boost::json::array parts;
    for (const DamagedPart& part : damage.parts)
      parts.push_back({{"tensor", part.tensor},
                       {"role", part.role},
                       {"first_element", part.first_element},
                       {"end_element", part.end_element}});
    damages.push_back({{"file", json_text(damage.file)},
                       {"first_byte", damage.bytes.begin},
                       {"end_byte", damage.bytes.end},
                       {"text", json_text(damage.text)},
                       {"parts", parts}});
  }
  return {{"checkpoint", json_text(report.checkpoint)},
          {"good", report.good() && passed_over.empty()},
          {"files", report.files},
          {"bytes", report.bytes},
          {"damages", damages},
          {"newer_damaged", newer}};
}

ExitCode verify(const CommandLine& line, FileSystem& files) {
  const FoundCheckpoint found = find_newest_good(files, line.positional(1, kWhere));
  const VerifyReport report = verify_checkpoint(files, found.checkpoint);
  if (line.has(kJson.name)) {
    print_output("{}\n", boost::json::serialize(as_json(report, found.passed_over)));
  } else {
    for (const DamagedCheckpoint& damaged : found.passed_over) print_output("{}\n", in_words(damaged));
    for (const Damage& damage : report.damages) print_output("{}\n", in_words(damage));
  }
  if (!report.good())
    throw DataError(
        fmt::format("{} is damaged in {} place{}; a resume takes the newest good one by itself, "
                    "`ferula checkpoint list` shows them",
                    report.checkpoint, report.damages.size(), report.damages.size() == 1 ? "" : "s"));
  if (!line.has(kJson.name))
    print_output("{}: all {} files ({}) are as they were written\n", report.checkpoint, report.files,
                 human_bytes(report.bytes));
  if (!found.passed_over.empty())
    throw DataError(fmt::format("{} is good, but {} newer checkpoint{} damaged; a resume goes on from the good one",
                                report.checkpoint, found.passed_over.size(),
                                found.passed_over.size() == 1 ? " is" : "s are"));
  return ExitCode::done;
}

ExitCode run(const CommandLine& line, const Invocation&) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const std::string action =
      action_of(line, "checkpoint", {"list", "show", "verify", "import"}, {"diff", "prune", "repair", "export"});
  if (action == "import") return import_checkpoint(line, *files);
  line.expect_at_most(2);
  if (action == "list") return list(line, *files);
  return action == "show" ? show(line, *files) : verify(line, *files);
}

}  // namespace

Command checkpoint_command() {
  return {.name = "checkpoint",
          .summary = "Lists, shows and verifies checkpoints, and imports published models.",
          .usage = "ferula checkpoint list|show|verify PATH [options], ferula checkpoint import DIR OUT",
          .description =
              "list PATH    the checkpoints of a run: step, size, who wrote it; complete (no file is missing or\n"
              "             has another size; the data is not read) or what is wrong, which ends with 1\n"
              "show PATH    what is in one: state, tensors with shapes and roles, configuration\n"
              "verify PATH  reads every byte and compares it with the hashes; names file, tensor, elements,\n"
              "             and newer checkpoints of a run that are damaged: both end with 1\n"
              "import DIR OUT\n"
              "             a model of Hugging Face (GPT2LMHeadModel, LlamaForCausalLM: config.json, safetensors)\n"
              "             becomes the checkpoint OUT, for `generate`, `evaluate` and [model] path\n"
              "PATH is a run (show and verify take its newest complete checkpoint) or one checkpoint.",
          .options = {kJson, kImportDType},
          .examples = {"ferula checkpoint list runs/quickstart", "ferula checkpoint show runs/quickstart --json",
                       "ferula checkpoint verify runs/quickstart/checkpoints/step-00000150",
                       "ferula checkpoint import llama-2-7b imported --dtype bf16"},
          .ranks = CommandRanks::one_process,
          .stop = CommandStop::ends,
          .run = run};
}

}  // namespace ferula
