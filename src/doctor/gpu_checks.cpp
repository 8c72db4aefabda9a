// Checks of GPUs: driver, health, who uses them, and how they are connected. They ask nvidia-smi.
#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "doctor/check.hpp"
#include "doctor/facts_text.hpp"

namespace ferula {
namespace {

constexpr std::string_view kOldestDriver = "525.60";  // of CUDA 12
constexpr double kHot = 87.0;                         // degrees Celsius
constexpr double kMostUsedMib = 1024.0;

bool has_gpu(const SystemFacts& facts) { return facts.file("/proc/driver/nvidia/version").has_value(); }

/// A row for each GPU with the fields asked for. Empty where nvidia-smi does not know them, or is not there.
std::vector<std::vector<std::string>> gpu_fields(const SystemFacts& facts, const std::string& fields) {
  const auto told = facts.run({"nvidia-smi", "--query-gpu=" + fields, "--format=csv,noheader,nounits"});
  std::vector<std::vector<std::string>> rows;
  if (!told || told->code != 0) return rows;
  const std::size_t columns = pieces(fields, ',').size();
  for (const std::string& line : pieces(told->text, '\n'))
    if (auto row = pieces(line, ','); row.size() == columns) rows.push_back(std::move(row));
  return rows;
}

/// Judges each GPU by the fields of its row; the worst counts, and is named by its index, the first field.
Finding judged(const SystemFacts& facts, const std::string& fields, const std::string& healthy,
               Finding (*judge)(const std::vector<std::string>& row)) {
  const auto rows = gpu_fields(facts, "index," + fields);
  if (rows.empty()) return skipped("this driver does not tell");
  Finding worst = good(healthy);
  for (const auto& row : rows)
    if (const Finding found = judge(row); found.verdict > worst.verdict)
      worst = {found.verdict, fmt::format("GPU {}: {}", row.front(), found.found)};
  return worst;
}

Finding driver(const SystemFacts& facts) {
  if (!has_gpu(facts)) {
    const bool was_promised = facts.variable("SLURM_JOB_GPUS").has_value() || facts.variable("SLURM_GPUS_ON_NODE");
    return was_promised ? failed("SLURM gave GPUs, this host shows no driver") : skipped("no GPU");
  }
  const auto told = facts.run({"nvidia-smi", "-L"});
  if (!told) return failed("no nvidia-smi");
  if (told->code != 0) return failed(fmt::format("nvidia-smi: {}", told->text.substr(0, told->text.find('\n'))));
  return good(fmt::format("{} GPUs", pieces(told->text, '\n').size()));
}

Finding driver_version(const SystemFacts& facts) {
  const auto rows = gpu_fields(facts, "driver_version");
  if (rows.empty()) return skipped("this driver does not tell");
  const std::string& version = rows.front().front();
  return is_older(version, kOldestDriver) ? failed(version) : good(version);
}

Finding models(const SystemFacts& facts) {
  std::set<std::string> names;
  for (const auto& row : gpu_fields(facts, "name,memory.total")) names.insert(row[0] + ", " + row[1] + " MiB");
  if (names.empty()) return skipped("this driver does not tell");
  const std::string found = fmt::format("{}", fmt::join(names, "; "));
  return names.size() == 1 ? good(found) : warned(found);
}

Finding capability(const SystemFacts& facts) {
  return judged(facts, "compute_cap", "8.0 or later", [](const auto& row) {
    return is_older(row[1], "8.0") ? failed("compute capability " + row[1]) : good(row[1]);
  });
}

Finding memory_used(const SystemFacts& facts) {
  return judged(facts, "memory.used,memory.total", "free", [](const auto& row) {
    const double used = first_number(row[1]).value_or(0.0);
    const std::string found = fmt::format("{} of {} MiB in use", row[1], row[2]);
    return used > kMostUsedMib ? warned(found) : good(found);
  });
}

Finding ecc(const SystemFacts& facts) {
  return judged(facts, "ecc.errors.uncorrected.volatile.total", "no uncorrected errors", [](const auto& row) {
    const double errors = first_number(row[1]).value_or(0.0);  // "[N/A]" of a card without ECC
    return errors > 0.0 ? failed(fmt::format("{:.0f} uncorrected errors", errors)) : good("none");
  });
}

Finding remapped_rows(const SystemFacts& facts) {
  const auto told =
      facts.run({"nvidia-smi", "--query-remapped-rows=gpu_uuid,remapped_rows.pending,remapped_rows.failure",
                 "--format=csv,noheader"});
  if (!told || told->code != 0) return skipped("this driver does not tell");
  Finding worst = good("none pending");
  for (const std::string& line : pieces(told->text, '\n')) {
    const auto row = pieces(line, ',');
    if (row.size() < 3) continue;
    const auto is_set = [](const std::string& word) { return word == "Yes" || first_number(word).value_or(0.0) > 0.0; };
    if (is_set(row[2])) return failed(row[0] + ": remapping failed");
    if (is_set(row[1])) worst = warned(row[0] + ": remapping is pending");
  }
  return worst;
}

Finding throttling(const SystemFacts& facts) {
  return judged(facts, "clocks_throttle_reasons.hw_slowdown,clocks_throttle_reasons.sw_thermal_slowdown", "none",
                [](const auto& row) {
                  if (row[1] == "Active") return warned("slowed down by its hardware (heat or power)");
                  return row[2] == "Active" ? warned("slowed down by the driver for heat") : good("none");
                });
}

Finding temperature(const SystemFacts& facts) {
  return judged(facts, "temperature.gpu", "below 87 °C", [](const auto& row) {
    return first_number(row[1]).value_or(0.0) >= kHot ? warned(row[1] + " °C") : good(row[1]);
  });
}

Finding persistence(const SystemFacts& facts) {
  return judged(facts, "persistence_mode", "on",
                [](const auto& row) { return row[1] == "Disabled" ? warned("off") : good("on"); });
}

Finding compute_mode(const SystemFacts& facts) {
  return judged(facts, "compute_mode", "Default", [](const auto& row) {
    if (row[1] == "Prohibited") return failed(row[1]);
    return row[1] == "Default" || row[1] == "Exclusive_Process" ? good(row[1]) : warned(row[1]);
  });
}

Finding mig(const SystemFacts& facts) {
  return judged(facts, "mig.mode.current", "off",
                [](const auto& row) { return row[1] == "Enabled" ? warned("cut into MIG slices") : good("off"); });
}

Finding pcie(const SystemFacts& facts) {
  return judged(facts, "pcie.link.width.current,pcie.link.width.max", "full width", [](const auto& row) {
    const double now = first_number(row[1]).value_or(0.0), most = first_number(row[2]).value_or(0.0);
    return now < most ? warned(fmt::format("x{:.0f} of x{:.0f}", now, most)) : good("full width");
  });
}

Finding links(const SystemFacts& facts) {
  const auto told = facts.run({"nvidia-smi", "topo", "-p2p", "r"});
  if (!told || told->code != 0) return skipped("this driver does not tell");
  int pairs = 0;
  for (const std::string& line : pieces(told->text, '\n')) {
    if (!line.starts_with("GPU")) continue;
    std::string words = line;
    std::replace(words.begin(), words.end(), '\t', ' ');
    const auto row = pieces(words, ' ');
    if (row.size() < 2 || row[1].starts_with("GPU")) continue;  // the heading
    for (std::size_t column = 1; column < row.size(); ++column) {
      if (row[column] == "NS" || row[column] == "CNS" || row[column] == "GNS" || row[column] == "DR")
        return warned(fmt::format("{} and GPU{} cannot read each other ({})", row[0], column - 1, row[column]));
      pairs += row[column] == "OK" ? 1 : 0;
    }
  }
  return pairs == 0 ? skipped("one GPU") : good("all GPUs read each other");
}

Finding ranks_and_gpus(const SystemFacts& facts) {
  const auto visible = facts.variable("CUDA_VISIBLE_DEVICES");
  const auto gpus = visible ? std::ssize(pieces(*visible, ',')) : std::ssize(gpu_fields(facts, "index"));
  if (gpus == 0) return skipped(visible ? "CUDA_VISIBLE_DEVICES hides them" : "this driver does not tell");
  const std::string found = fmt::format("{} ranks on {} GPUs", facts.job().ranks_on_node, gpus);
  // With --gpus-per-task every rank sees its own GPU alone.
  const bool has_own = facts.variable("SLURM_GPUS_PER_TASK").has_value();
  return facts.job().ranks_on_node > gpus && !has_own ? warned(found) : good(found);
}

Finding visible_devices(const SystemFacts& facts) {
  const auto visible = facts.variable("CUDA_VISIBLE_DEVICES");
  if (!visible) return good("not set");
  if (trimmed(*visible).empty()) return warned("CUDA_VISIBLE_DEVICES is empty: it hides every GPU");
  const auto gpus = std::ssize(gpu_fields(facts, "index"));
  if (gpus == 0) return skipped("this driver does not tell");
  for (const std::string& word : pieces(*visible, ','))
    if (word.find_first_not_of("0123456789") == std::string::npos && first_number(word).value_or(0.0) >= gpus)
      return failed(fmt::format("CUDA_VISIBLE_DEVICES={}, of {} GPUs", *visible, gpus));
  return good(*visible);
}

Finding nccl_variables(const SystemFacts& facts) {
  for (const char* name : {"NCCL_P2P_DISABLE", "NCCL_SHM_DISABLE", "NCCL_IB_DISABLE"})
    if (facts.variable(name).value_or("0") != "0") return warned(fmt::format("{} is set", name));
  const std::string name = facts.variable("NCCL_SOCKET_IFNAME").value_or("");
  if (name.empty() || name.find_first_of("^=,") != std::string::npos) return good("nothing that hinders");
  for (const std::string& interface : facts.names("/sys/class/net"))
    if (interface.starts_with(name)) return good("NCCL_SOCKET_IFNAME=" + name);
  return failed(fmt::format("NCCL_SOCKET_IFNAME={}: no such interface here", name));
}

/// The libnccl that the loader would find first.
Finding nccl_version(const SystemFacts& facts) {
  for (const std::string& folder : pieces(facts.variable("LD_LIBRARY_PATH").value_or(""), ':'))
    for (const std::string& name : facts.names(folder))
      if (name.starts_with("libnccl.so.2.")) return good(name);
  const auto cache = facts.run({"ldconfig", "-p"});
  if (cache && line_with(cache->text, "libnccl.so.2")) return good("libnccl.so.2 of the system");
  return warned("none found: GPUs would talk through the host");
}

template <Finding (*judge)(const SystemFacts&)>
Finding on_gpus(const SystemFacts& facts) {
  return has_gpu(facts) ? judge(facts) : skipped("no GPU");
}

constexpr Check kChecks[]{
    {"gpu-driver", "/proc/driver/nvidia/version, nvidia-smi -L", "a driver that answers",
     "take another node (sbatch --exclude) and tell the administrators: the driver is broken or was updated without a "
     "restart",
     driver},
    {"gpu-driver-version", "nvidia-smi", "525.60 or later, the same on every host",
     "take hosts with one driver (sbatch --constraint or --nodelist), or build for an older CUDA",
     on_gpus<driver_version>, CheckScope::host, Agreement::same_on_hosts},
    {"gpu-model", "nvidia-smi", "GPUs of one kind, the same on every host",
     "ask for one kind (--gres=gpu:TYPE:N): the slowest and the smallest sets the pace for all", on_gpus<models>,
     CheckScope::host, Agreement::same_on_hosts},
    {"gpu-capability", "nvidia-smi", "compute capability 8.0 or later",
     "hide it with CUDA_VISIBLE_DEVICES, or set [run] device = \"cpu\"", on_gpus<capability>},
    {"gpu-memory", "nvidia-smi", "at most 1 GiB in use before a run starts",
     "`nvidia-smi` lists the processes; end yours that are left over, or take another GPU", on_gpus<memory_used>},
    {"gpu-ecc", "nvidia-smi", "no uncorrected memory errors since the last reset",
     "leave this host (sbatch --exclude) and tell the administrators: results may be wrong", on_gpus<ecc>},
    {"gpu-remapped-rows", "nvidia-smi", "no row remapping pending or failed",
     "tell the administrators: the GPU needs a reset, after a failure a replacement", on_gpus<remapped_rows>},
    {"gpu-throttling", "nvidia-smi", "clocks that nothing slows down",
     "tell the administrators: cooling or power does not suffice; take another host meanwhile", on_gpus<throttling>},
    {"gpu-temperature", "nvidia-smi", "below 87 °C", "tell the administrators; a hot GPU slows down soon",
     on_gpus<temperature>},
    {"gpu-persistence", "nvidia-smi", "persistence mode on",
     "ask the administrators for nvidia-persistenced: without it every start waits for the driver",
     on_gpus<persistence>},
    {"gpu-compute-mode", "nvidia-smi", "Default or Exclusive_Process",
     "ask the administrators for `nvidia-smi -c DEFAULT`", on_gpus<compute_mode>},
    {"gpu-mig", "nvidia-smi", "whole GPUs",
     "ask for a whole GPU, or plan with the slice's memory: "
     "`ferula plan --card GIB`",
     on_gpus<mig>},
    {"gpu-pcie", "nvidia-smi", "the full width of the link",
     "tell the administrators: the card is not seated well, or the slot is narrower", on_gpus<pcie>},
    {"gpu-links", "nvidia-smi topo -p2p r", "GPUs that read each other's memory",
     "ranks then talk through the host; take GPUs of one socket, or ask whether ACS or the IOMMU hinders",
     on_gpus<links>},
    {"gpu-per-rank", "CUDA_VISIBLE_DEVICES, nvidia-smi", "a GPU for each rank of the host",
     "start as many ranks as there are GPUs, or ask for more GPUs", on_gpus<ranks_and_gpus>},
    {"gpu-visible", "CUDA_VISIBLE_DEVICES", "not set, or GPUs that exist",
     "unset CUDA_VISIBLE_DEVICES; SLURM sets it by itself", on_gpus<visible_devices>, CheckScope::rank},
    {"nccl-variables", "NCCL_*", "nothing that switches a transport off or names a missing interface",
     "unset it; `ip link` lists the interfaces", nccl_variables, CheckScope::rank},
    {"nccl-version", "LD_LIBRARY_PATH, ldconfig -p", "the same NCCL on every host",
     "load one NCCL module in the batch script, or set FERULA_NCCL_LIBRARY to its libnccl.so.2", on_gpus<nccl_version>,
     CheckScope::host, Agreement::same_on_hosts},
};

}  // namespace

std::span<const Check> gpu_checks() { return kChecks; }

}  // namespace ferula
