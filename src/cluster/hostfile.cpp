#include "cluster/hostfile.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <regex>
#include <set>

#include "base/error.hpp"
#include "cluster/host_list.hpp"
#include "cluster/words.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kMostSlots = 4096;
constexpr std::size_t kLongestLine = 4096;                        // std::regex recurses for every letter
using Wanted = std::map<std::string, std::vector<std::int64_t>>;  // no slots: all of them

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

/// The hosts of one line.
std::vector<HostSlots> hosts_of(const std::string& line, const std::string& place) {
  static const std::regex form(R"(^(\S+)\s+slots=(\d{1,9})(\s+max[_-]slots=\d+)?$)");
  const auto bad = [&] {
    const bool is_long = line.size() > kLongestLine;
    return ConfigError(
        fmt::format("{}: Hostfile contains a bad entry: {}, unable to proceed with launching; write a line as "
                    "`worker-0 slots=4`, with 1 to {} slots",
                    place, is_long ? fmt::format("{} characters", line.size()) : line, kMostSlots));
  };
  std::smatch found;
  if (line.size() > kLongestLine || !std::regex_match(line, found, form)) throw bad();
  const std::int64_t count = whole_number(found[2].str()).value_or(0);
  const auto names = expand_host_list(found[1].str());
  if (!names || count < 1 || count > kMostSlots) throw bad();
  std::vector<std::int64_t> slots(static_cast<std::size_t>(count));
  std::iota(slots.begin(), slots.end(), 0);
  std::vector<HostSlots> hosts;
  for (const std::string& each : *names) hosts.push_back({each, slots});
  return hosts;
}

/// "worker-0@worker-1:0,2" by host; every host and slot is one of `hosts`.
Wanted parse_filter(const std::vector<HostSlots>& hosts, const std::string& filter) {
  Wanted wanted;
  for (const std::string_view part : split(filter, '@')) {
    const std::size_t colon = part.find(':');
    const std::string name = trimmed(part.substr(0, colon));
    const auto host =
        std::find_if(hosts.begin(), hosts.end(), [&](const HostSlots& each) { return each.name == name; });
    if (host == hosts.end())
      throw ConfigError(fmt::format("Hostname '{}' not found in hostfile (found in '{}')", name, filter));
    std::vector<std::int64_t>& slots = wanted[name];
    if (colon == std::string_view::npos) {
      slots = host->slots;
      continue;
    }
    for (const std::string_view word : split(part.substr(colon + 1), ',')) {
      const auto slot = whole_number(word);
      if (!slot || std::find(host->slots.begin(), host->slots.end(), *slot) == host->slots.end())
        throw ConfigError(
            fmt::format("No slot '{}' specified on host '{}'; it has 0 to {}", word, name, host->slots.back()));
      slots.push_back(*slot);
    }
  }
  return wanted;
}

std::vector<HostSlots> filtered(const std::vector<HostSlots>& hosts, const Wanted& named, bool keeps_named) {
  std::vector<HostSlots> left;
  for (const HostSlots& host : hosts) {
    const auto found = named.find(host.name);
    HostSlots kept{host.name, {}};
    for (const std::int64_t slot : host.slots) {
      const bool is_named =
          found != named.end() && std::find(found->second.begin(), found->second.end(), slot) != found->second.end();
      if (is_named == keeps_named) kept.slots.push_back(slot);
    }
    if (!kept.slots.empty()) left.push_back(std::move(kept));
  }
  return left;
}

/// The first `num_nodes` hosts and the first `num_gpus` slots of each.
void keep_first(std::vector<HostSlots>& hosts, const HostFilter& filter) {
  if (filter.num_nodes) {
    if (*filter.num_nodes > std::ssize(hosts))
      throw ConfigError(fmt::format("--num-nodes: expected at most the {} hosts of the hostfile, found {}",
                                    hosts.size(), *filter.num_nodes));
    hosts.resize(static_cast<std::size_t>(*filter.num_nodes));
  }
  if (!filter.num_gpus) return;
  for (HostSlots& host : hosts) {
    if (*filter.num_gpus > std::ssize(host.slots))
      throw ConfigError(fmt::format("--num-gpus: expected at most the {} slots of host '{}', found {}",
                                    host.slots.size(), host.name, *filter.num_gpus));
    host.slots.resize(static_cast<std::size_t>(*filter.num_gpus));
  }
}

}  // namespace

std::vector<HostSlots> parse_hostfile(std::string_view text, const std::string& name) {
  std::vector<HostSlots> hosts;
  std::set<std::string> seen;
  int number = 0;
  for (const std::string_view raw : split(text, '\n')) {
    ++number;
    const std::string line = trimmed(raw.substr(0, raw.find('#')));
    if (line.empty()) continue;
    const std::string place = fmt::format("{}:{}", name, number);
    for (HostSlots& host : hosts_of(line, place)) {
      if (!seen.insert(host.name).second)
        throw ConfigError(fmt::format("{}: Hostfile contains multiple entries for {}, unable to proceed with launching",
                                      place, host.name));
      hosts.push_back(std::move(host));
    }
  }
  if (hosts.empty())
    throw ConfigError(
        fmt::format("{}: Hostfile is empty or not formatted correctly, unable to proceed with launching.", name));
  return hosts;
}

std::vector<HostSlots> select_hosts(const std::vector<HostSlots>& hosts, const HostFilter& filter) {
  if (!filter.include.empty() && !filter.exclude.empty())
    throw ConfigError("include_str and exclude_str are mutually exclusive.");
  const bool has_filter = !filter.include.empty() || !filter.exclude.empty();
  if (has_filter && (filter.num_nodes || filter.num_gpus))
    throw ConfigError("Cannot specify num_nodes/gpus with include/exclude");
  std::vector<HostSlots> left = hosts;
  if (!filter.include.empty()) left = filtered(hosts, parse_filter(hosts, filter.include), true);
  if (!filter.exclude.empty()) left = filtered(hosts, parse_filter(hosts, filter.exclude), false);
  if (left.empty()) throw ConfigError("expected a host that the filters leave, found none");
  keep_first(left, filter);
  return left;
}

}  // namespace ferula
