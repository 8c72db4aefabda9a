// How much may still be written below a directory: the free space of its file system, and the quotas that count there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "doctor/system_facts.hpp"

namespace ferula {

/// The words "device place kind options …" of the line in /proc/self/mounts whose place holds `path`; none where the
/// system does not tell.
std::vector<std::string> mount_of(const SystemFacts& facts, const std::string& path);

/// What somebody has used of what he may. A limit of 0: none.
struct QuotaAccount {
  std::string whose;  // "user ada", "group grp", "project 7"
  double used_bytes = 0.0, limit_bytes = 0.0;
  double used_files = 0.0, limit_files = 0.0;
  bool is_over = false;  // the system has marked it so

  bool has_limit() const { return limit_bytes > 0.0 || limit_files > 0.0; }
};

/// The first account in what `lfs quota` or `quota` has printed: "place used quota limit grace files quota limit
/// grace", a star where a quota is exceeded. Empty where there is none.
std::optional<QuotaAccount> parsed_quota(const std::string& text);

/// Those of user, groups and project that count below `directory`; absent where no tool here tells.
std::optional<std::vector<QuotaAccount>> quotas_below(const SystemFacts& facts, const std::string& directory);

/// The tightest of all.
struct StorageRoom {
  FreeSpace free;
  std::string bytes_limit, files_limit;  // who limits: "the file system", "the quota of group grp"
};

/// `directory` may not exist yet. Absent where the system does not tell.
std::optional<StorageRoom> storage_room(const SystemFacts& facts, const std::string& directory);

}  // namespace ferula
