// Whether a finished run knows more than an interpolated trigram model of bytes: `beats_trigram RUN` fits that model to
// the run's own training split, prints both losses on its validation split and exits 0 where the run's is lower,
// else 1.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <fstream>
#include <optional>

#include "base/error.hpp"
#include "config/load_config.hpp"
#include "data/token_dataset.hpp"
#include "support/train/trigram.hpp"
#include "train/run_directory.hpp"

namespace ferula::test {
namespace {

/// The step of the last validation and its loss.
struct Validation {
  std::int64_t step = 0;
  double loss = 0.0;
};

Validation last_validation(const RunDirectory& run) {
  std::ifstream file(run.metrics());
  std::optional<Validation> last;
  for (std::string line; std::getline(file, line);) {
    const boost::json::object metrics = boost::json::parse(line).as_object();
    const auto* loss = metrics.if_contains("validation_loss");
    if (loss == nullptr || loss->is_null()) continue;
    last = {metrics.at("step").to_number<std::int64_t>(), loss->to_number<double>()};
  }
  if (!last) throw DataError(fmt::format("{}: expected a validation loss, found none", run.metrics().string()));
  return *last;
}

double trigram_loss(const RunDirectory& run) {
  const DataConfig data = load_config(run.config().string(), {}, {}).config.data;
  const auto files = make_posix_file_system();
  const TokenFile file(*files, data.tokens.empty() ? run.tokens().string() : data.tokens);
  file.require(*make_tokenizer("bytes"));
  const TokenDataset dataset(file, data.sequence_length, data.validation_fraction);
  const TokenExtent training = dataset.extent(Split::training), validation = dataset.extent(Split::validation);
  if (validation.count() < 2) throw DataError(fmt::format("{}: nothing is kept for validation", run.root.string()));
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(validation.end));
  file.read(0, tokens);

  const TrigramModel trigram(std::span<const std::int32_t>(tokens).first(static_cast<std::size_t>(training.end)));
  return trigram.loss(tokens, static_cast<std::size_t>(validation.begin) + 1);
}

int compare(const RunDirectory& run) {
  const Validation validation = last_validation(run);
  const double trigram = trigram_loss(run);
  fmt::print("validation loss in nats per byte\n  trigram model {:.4f}\n  run, step {} {:.4f}\n", trigram,
             validation.step, validation.loss);
  return validation.loss < trigram ? 0 : 1;
}

}  // namespace
}  // namespace ferula::test

int main(int count, char** words) {
  if (count != 2) {
    fmt::print(stderr, "usage: beats_trigram RUN, the directory of a run with the tokenizer \"bytes\"\n");
    return 2;
  }
  try {
    return ferula::test::compare({words[1]});
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
