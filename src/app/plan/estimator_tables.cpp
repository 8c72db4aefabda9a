#include "app/plan/estimator_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <vector>

#include "model/parameter_table.hpp"

namespace ferula {
namespace {

constexpr double kBufferFactor = 1.5;  // DeepSpeed's additional_buffer_factor

/// "blocks.0.attention.query.weight" is in "blocks.0.attention.query", of GPT-2 in "blocks.0.attention.qkv".
std::string module_of(const std::string& tensor, const TransformerSpec& spec) {
  std::string module = tensor.substr(0, tensor.rfind('.'));
  if (spec.family.activation == ActivationKind::swiglu) return module;
  for (const char* part : {".query", ".key", ".value"})
    if (module.ends_with(part)) module = module.substr(0, module.rfind('.')) + ".qkv";
  return module;
}

// --- DeepSpeed ------------------------------------------------------------------------------------------------------

std::string setup_in_words(const EstimatedHardware& hardware) {
  return fmt::format(
      "Estimated memory needed for params, optim states and gradients for a:\n"
      "HW: Setup with {} node{}, {} GPU{} per node.\n",
      hardware.nodes, hardware.nodes > 1 ? "s" : "", hardware.gpus_per_node, hardware.gpus_per_node > 1 ? "s" : "");
}

std::string row(double cpu_bytes, double gpu_bytes, const std::string& options) {
  constexpr double kGigabyte = 0x1p30;  // what DeepSpeed calls GB
  return fmt::format(" {:7.2f}GB | {:6.2f}GB | {}\n", cpu_bytes / kGigabyte, gpu_bytes / kGigabyte, options);
}

constexpr std::string_view kColumns = "  per CPU  |  per GPU |   Options\n";

std::string zero2_table(double parameters, const EstimatedHardware& hardware) {
  const double gpus = hardware.nodes * hardware.gpus_per_node;
  return setup_in_words(hardware) +
         fmt::format("SW: Model with {:.0f}M total params.\n", std::floor(parameters / 1e6)) + std::string(kColumns) +
         row(parameters * std::max(4.0 * gpus, 16.0) * kBufferFactor, 2.0 * parameters, "offload_optimizer=cpu ") +
         row(parameters * 4.0 * hardware.gpus_per_node * kBufferFactor,
             2.0 * parameters + std::floor(18.0 * parameters / gpus), "offload_optimizer=none");
}

/// A row of ZeRO 3. `state`: bytes a parameter that the host keeps, and their like on the GPUs.
std::string zero3_table(const ModelSizes& sizes, const EstimatedHardware& hardware) {
  const auto parameters = static_cast<double>(sizes.parameters), largest = static_cast<double>(sizes.largest_module);
  const double nodes = hardware.nodes, gpus_per_node = hardware.gpus_per_node, gpus = nodes * gpus_per_node;
  const double gathered = 4.0 * largest;
  const auto host = [&](double state, bool shards_at_once) {
    const double share = state / nodes;
    return parameters * kBufferFactor * (shards_at_once ? share : std::max(4.0 * gpus_per_node, share));
  };
  std::string text = setup_in_words(hardware);
  text += fmt::format("SW: Model with {:.0f}M total params, {:.0f}M largest layer params.\n",
                      std::floor(parameters / 1e6), std::floor(largest / 1e6));
  text += kColumns;
  for (const bool init : {true, false})
    text += row(host(18.0, init), gathered,
                fmt::format("offload_param=cpu , offload_optimizer=cpu , zero_init={:d}", init));
  for (const bool init : {true, false})
    text += row(host(16.0, init), gathered + std::floor(2.0 * parameters / gpus),
                fmt::format("offload_param=none, offload_optimizer=cpu , zero_init={:d}", init));
  for (const bool init : {true, false})
    text += row((init ? largest : parameters) * 4.0 * gpus_per_node * kBufferFactor,
                gathered + std::floor(18.0 * parameters / gpus),
                fmt::format("offload_param=none, offload_optimizer=none, zero_init={:d}", init));
  return text;
}

// --- accelerate -----------------------------------------------------------------------------------------------------

/// As Python prints a number that was rounded to two digits: "474.7", "1.54", "12.0".
std::string two_digits(double value) {
  std::string text = fmt::format("{:.2f}", value);
  if (text.ends_with('0')) text.pop_back();
  return text;
}

std::string size_in_words(double bytes) {
  const std::array<const char*, 5> units{"bytes", "KB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  for (; bytes >= 1024.0 && unit + 1 < units.size(); ++unit) bytes /= 1024.0;
  return fmt::format("{} {}", two_digits(bytes), units.at(unit));
}

/// Letters on a terminal, of UTF-8.
std::size_t letters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// As Python's str.center: an odd rest goes to the left where the width is odd, too.
std::string centered(const std::string& text, std::size_t width) {
  const std::size_t rest = width > letters(text) ? width - letters(text) : 0;
  const std::size_t left = rest / 2 + (rest & width & 1);
  return std::string(left, ' ') + text + std::string(rest - left, ' ');
}

std::string line(const std::vector<std::size_t>& widths, std::string_view left, std::string_view middle,
                 std::string_view right) {
  std::string text;
  for (const std::size_t width : widths) {
    text += text.empty() ? left : middle;
    for (std::size_t column = 0; column < width; ++column) text += "─";
  }
  return text + std::string(right) + "\n";
}

using Cells = std::vector<std::string>;

/// The box of accelerate's table: its last column grows until the title has room.
std::string boxed(const std::string& title, const std::vector<Cells>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  std::size_t sum = 0;
  for (std::size_t column = 0; column < widths.size(); ++column) {
    for (const Cells& cells : rows) widths[column] = std::max(widths[column], letters(cells[column]));
    sum += widths[column];
  }
  const std::size_t inner = sum + widths.size() - 1, outer = inner + 2;
  if (letters(title) > sum) widths.back() += 2 * (std::max(letters(title), outer) - std::min(letters(title), outer));
  std::size_t wide = widths.size() - 1;
  for (const std::size_t width : widths) wide += width;

  std::string text = line(widths, "┌", "─", "┐") + "│" + centered(title, wide) + "│\n" + line(widths, "├", "┬", "┤");
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t column = 0; column < widths.size(); ++column)
      text += "│" + centered(rows[row][column], widths[column]);
    text += "│\n";
    if (row == 0) text += line(widths, "├", "┼", "┤");
  }
  return text + line(widths, "└", "┴", "┘");
}

}  // namespace

ModelSizes model_sizes(const TransformerSpec& spec) {
  ModelSizes sizes;
  for (const UnitSpec& unit : parameter_table(spec, DType::f32)) {
    std::map<std::string, std::int64_t> modules;
    for (const ParamSpec& param : unit.params) modules[module_of(param.name, spec)] += param.count();
    for (const auto& [module, count] : modules) {
      const bool is_block = unit.name.starts_with("blocks.");
      sizes.parameters += count;
      sizes.largest_module = std::max(sizes.largest_module, count);
      sizes.largest_undivided = std::max(sizes.largest_undivided, is_block           ? unit.count()
                                                                  : module == "head" ? 0
                                                                                     : count);
      if (module != "head") sizes.body += count;
    }
  }
  return sizes;
}

std::string deepspeed_tables(const ModelSizes& sizes, const EstimatedHardware& hardware) {
  const std::string whose =
      "DeepSpeed's own estimate for ZeRO {}, by its formulas: states alone, without activations; nothing is measured\n";
  return fmt::format(fmt::runtime(whose), 2) + zero2_table(static_cast<double>(sizes.parameters), hardware) + "\n" +
         fmt::format(fmt::runtime(whose), 3) + zero3_table(sizes, hardware);
}

std::string accelerate_table(const ModelSizes& sizes, const std::string& name) {
  const double total = 4.0 * static_cast<double>(sizes.body);
  const double layer = 4.0 * static_cast<double>(sizes.largest_undivided);
  struct Row {
    const char* dtype;
    double divisor;
    double training;  // times the size in float32; 0: not possible
  };
  std::vector<Cells> rows{{"dtype", "Largest Layer", "Total Size", "Training using Adam"}};
  for (const Row& each : {Row{"float32", 1, 4}, Row{"float16", 2, 2}, Row{"int8", 4, 0}, Row{"int4", 8, 0}})
    rows.push_back({each.dtype, size_in_words(layer / each.divisor), size_in_words(total / each.divisor),
                    each.training > 0.0 ? size_in_words(total * each.training) : "N/A"});
  return "accelerate's own estimate, by its formulas: without activations, and without a head that is not tied; "
         "nothing "
         "is measured\n" +
         boxed(fmt::format("Memory Usage for loading `{}`", name), rows);
}

}  // namespace ferula
