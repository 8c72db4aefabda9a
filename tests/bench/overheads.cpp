// What a step costs beside its arithmetic, in turns with the step: tokenising its bytes, reading its batch, and writing
// its lines to metrics.jsonl, to the log file and to the terminal. The shape as in step_worker; rounds=N threads=N.
#include "base/log.hpp"
#include "comm/simulated_transport.hpp"
#include "data/tokenizer.hpp"
#include "samples.hpp"
#include "train/metrics_log.hpp"
#include "train/run_report.hpp"
#include "training_rank.hpp"

namespace ferula::bench {
namespace {

/// Writes what a run writes behind a step. A run shows its progress every two seconds at most; here each step does.
class StepLog {
 public:
  StepLog()
      : files_(make_posix_file_system()),
        metrics_(*files_, scratch_.path("metrics.jsonl"), 0),
        log_(LogVoice::speaks, LogConsole::plain) {
    log_.open_file(scratch_.path("log.txt"));
  }
  void write(const StepResult& step) {
    metrics_.append({.step = step, .tokens_seen = step.step * step.tokens, .mfu = 0.5, .memory_peak_bytes = 1 << 30});
    log_.progress(progress_text({.step = step,
                                 .steps = 1000,
                                 .tokens_per_second = static_cast<double>(step.tokens) / step.seconds,
                                 .mfu = 0.5,
                                 .memory_peak_bytes = 1 << 30,
                                 .seconds_left = 1000.0}));
  }

 private:
  ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> files_;
  MetricsLog metrics_;
  Log log_;
};

void run(const Arguments& arguments) {
  const StepShape shape = step_shape(arguments);
  TrainingRank rank(make_self_transport(), shape, static_cast<int>(arguments.number("threads", 2)));
  StepLog log;
  const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer("bytes");
  const std::string text(static_cast<std::size_t>(shape.batch * shape.length), 'a');
  for (std::int64_t round = -2; round < arguments.number("rounds", 10); ++round) {
    StepResult step;
    const Cost whole = cost_of([&] { step = rank.step(); });
    std::vector<std::int32_t> tokens;
    const Cost tokenised = cost_of([&] { tokenizer->encode(text, tokens); });
    const Cost read = cost_of([&] { rank.read_batch(step.step); });
    const Cost logged = cost_of([&] { log.write(step); });
    if (round < 0) continue;
    const std::string row = "tokenise, read and log";
    print_sample(row, "ferula", 1, "step", tokenised + read + logged);
    print_sample(row, "a step", 1, "step", whole);
  }
}

}  // namespace
}  // namespace ferula::bench

int main(int count, char** words) { return ferula::bench::run_program(count, words, ferula::bench::run); }
