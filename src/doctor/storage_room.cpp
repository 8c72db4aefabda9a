#include "doctor/storage_room.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include "doctor/facts_text.hpp"

namespace ferula {
namespace {

constexpr double kQuotaBlock = 1024.0;  // bytes

struct Account {
  std::string option;  // of quota and lfs quota
  std::string name;
  std::string whose;
};

bool starts_with_digit(const std::string& word) {
  return !word.empty() && std::isdigit(static_cast<unsigned char>(word.front())) != 0;
}

/// Clusters count a group's folder by its group or by a project, a home by its user.
std::vector<Account> accounts_below(const SystemFacts& facts, const std::string& directory) {
  std::vector<Account> accounts;
  if (const auto user = facts.variable("USER")) accounts.push_back({"-u", *user, "user " + *user});
  std::set<std::string> groups;
  for (const auto& group : {answer_of(facts, {"id", "-gn"}), answer_of(facts, {"stat", "-c", "%G", directory})})
    if (group && groups.insert(*group).second) accounts.push_back({"-g", *group, "group " + *group});
  return accounts;
}

/// "1001 P /lustreFS/data/grp": the project that a folder of Lustre belongs to; 0 is none.
std::optional<Account> project_of(const SystemFacts& facts, const std::string& directory) {
  const auto answer = answer_of(facts, {"lfs", "project", "-d", directory});
  if (!answer || !starts_with_digit(trimmed(*answer))) return std::nullopt;
  const std::string number = pieces(*answer, ' ').front();
  if (number == "0") return std::nullopt;
  return Account{"-p", number, "project " + number};
}

std::string nearest_existing(const SystemFacts& facts, std::string directory) {
  while (!facts.free_space(directory) && std::filesystem::path(directory).has_relative_path())
    directory = std::filesystem::path(directory).parent_path().string();
  return directory;
}

void narrow(std::int64_t& free, std::string& limit, double used, double most, const std::string& whose) {
  if (most <= 0.0) return;
  const auto left = static_cast<std::int64_t>(std::max(0.0, most - used));
  if (left >= free) return;
  free = left;
  limit = "the quota of " + whose;
}

}  // namespace

std::vector<std::string> mount_of(const SystemFacts& facts, const std::string& path) {
  std::vector<std::string> best;
  for (const std::string& line : pieces(facts.file("/proc/self/mounts").value_or(""), '\n')) {
    std::vector<std::string> words = pieces(line, ' ');
    if (words.size() < 4) continue;
    const bool holds = words[1] == "/" || path == words[1] || path.starts_with(words[1] + "/");
    if (holds && (best.empty() || words[1].size() >= best[1].size())) best = std::move(words);
  }
  return best;
}

std::optional<QuotaAccount> parsed_quota(const std::string& text) {
  std::string line = text;
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  const auto words = pieces(line, ' ');
  std::size_t place = 0;  // a path, or host:path
  while (place + 7 < words.size() &&
         (words[place].find('/') == std::string::npos || !starts_with_digit(words[place + 1])))
    ++place;
  if (place + 7 >= words.size()) return std::nullopt;
  const auto number = [&](std::size_t column) { return first_number(words[place + column]).value_or(0.0); };
  const auto limit = [&](std::size_t soft) { return number(soft) > 0.0 ? number(soft) : number(soft + 1); };
  QuotaAccount account{.whose = {},
                       .used_bytes = kQuotaBlock * number(1),
                       .limit_bytes = kQuotaBlock * limit(2),
                       .used_files = number(5),
                       .limit_files = limit(6)};
  account.is_over = words[place + 1].ends_with("*") || words[place + 5].ends_with("*") ||
                    (account.limit_bytes > 0.0 && account.used_bytes >= account.limit_bytes) ||
                    (account.limit_files > 0.0 && account.used_files >= account.limit_files);
  return account;
}

std::optional<std::vector<QuotaAccount>> quotas_below(const SystemFacts& facts, const std::string& directory) {
  const std::string folder = nearest_existing(facts, directory);
  const auto mount = mount_of(facts, folder);
  if (mount.empty()) return std::nullopt;
  std::vector<Account> accounts = accounts_below(facts, folder);
  const bool is_lustre = mount[2] == "lustre";
  if (const auto project = is_lustre ? project_of(facts, folder) : std::nullopt) accounts.push_back(*project);
  std::optional<std::vector<QuotaAccount>> found;
  for (const Account& account : accounts) {
    const auto told = is_lustre ? facts.run({"lfs", "quota", "-q", account.option, account.name, mount[1]})
                                : facts.run({"quota", account.option, "-w", "-p", "-f", mount[1]});
    if (!told) continue;
    if (!found) found.emplace();
    auto parsed = parsed_quota(told->text);
    if (!parsed || !parsed->has_limit()) continue;
    parsed->whose = account.whose;
    found->push_back(std::move(*parsed));
  }
  return found;
}

std::optional<StorageRoom> storage_room(const SystemFacts& facts, const std::string& directory) {
  const auto space = facts.free_space(nearest_existing(facts, directory));
  if (!space) return std::nullopt;
  StorageRoom room{.free = *space, .bytes_limit = "the file system", .files_limit = "the file system"};
  for (const QuotaAccount& each : quotas_below(facts, directory).value_or(std::vector<QuotaAccount>{})) {
    narrow(room.free.bytes, room.bytes_limit, each.used_bytes, each.limit_bytes, each.whose);
    narrow(room.free.files, room.files_limit, each.used_files, each.limit_files, each.whose);
  }
  return room;
}

}  // namespace ferula
