#include "app/jobs/job_record.hpp"

#include <boost/json.hpp>

namespace ferula {
namespace {

namespace json = boost::json;
constexpr std::int64_t kMostBytes = 1 << 16;

std::string path_in(const std::filesystem::path& run) { return (run / "job.json").string(); }

}  // namespace

void write_job_record(FileSystem& files, const std::filesystem::path& run, const JobRecord& record) {
  const json::object object{
      {"job", record.job}, {"script", record.script}, {"log", record.log}, {"command", record.command}};
  write_file_atomically(files, path_in(run), json::serialize(object) + "\n", Replace::existing);
}

std::optional<JobRecord> read_job_record(FileSystem& files, const std::filesystem::path& run) {
  if (!files.exists(path_in(run))) return std::nullopt;
  try {
    const json::value value = json::parse(read_file(files, path_in(run), kMostBytes));
    const auto text = [&](const char* key) { return std::string(value.at(key).as_string()); };
    JobRecord record{.job = text("job"), .script = text("script"), .log = text("log"), .command = text("command")};
    const bool is_number = record.job.find_first_not_of("0123456789") == std::string::npos;
    return is_number ? std::optional(std::move(record)) : std::nullopt;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace ferula
