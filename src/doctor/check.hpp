// The table of checks of `ferula doctor`: program, documentation and tests all come from its rows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/system_facts.hpp"

namespace ferula {

/// From best to worst. `skipped`: it is about something that is not here (no GPU, no SLURM).
enum class Verdict : std::uint8_t { skipped, ok, warning, failure };
std::string_view name_of(Verdict verdict);

struct Finding {
  Verdict verdict = Verdict::ok;
  std::string found;
};

inline Finding good(std::string found) { return {Verdict::ok, std::move(found)}; }
inline Finding warned(std::string found) { return {Verdict::warning, std::move(found)}; }
inline Finding failed(std::string found) { return {Verdict::failure, std::move(found)}; }
inline Finding skipped(std::string found) { return {Verdict::skipped, std::move(found)}; }

enum class CheckGroup : std::uint8_t { program, mpi, processors, memory, limits, files, clock, gpu, slurm, speed };
inline constexpr std::size_t kCheckGroups = 10;
std::string_view name_of(CheckGroup group);

/// `host`: asked once a host, by its first rank. `rank`: by every rank.
enum class CheckScope : std::uint8_t { host, rank };
/// `same_on_hosts`: what is found must not differ from host to host; where it does, that is a warning of its own.
enum class Agreement : std::uint8_t { free, same_on_hosts };

struct Check {
  std::string_view name;      // "shared-memory"
  std::string_view reads;     // "/dev/shm": where the facts come from
  std::string_view expected;  // "at least 512 MiB free"
  std::string_view remedy;    // what to do where it is not so
  Finding (*judge)(const SystemFacts& facts) = nullptr;
  CheckScope scope = CheckScope::host;
  Agreement agreement = Agreement::free;
  CheckGroup group = CheckGroup::program;  // filled in by all_checks
};

std::span<const Check> program_checks();
std::span<const Check> mpi_checks();
std::span<const Check> processor_checks();
std::span<const Check> memory_checks();
std::span<const Check> limit_checks();
std::span<const Check> file_checks();
std::span<const Check> clock_checks();
std::span<const Check> gpu_checks();
std::span<const Check> slurm_checks();
std::span<const Check> speed_checks();

/// Every row, group by group.
const std::vector<Check>& all_checks();

}  // namespace ferula
