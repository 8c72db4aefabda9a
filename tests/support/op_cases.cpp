#include "support/op_cases.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

namespace ferula::test {
namespace {

void append(std::vector<OpCase>& all, std::vector<OpCase> part) {
  all.insert(all.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
}

}  // namespace

std::vector<OpCase> op_cases() {
  std::vector<OpCase> all;
  for (const auto& part : {product_cases, norm_cases, pointwise_cases, attention_cases, loss_cases, range_cases})
    append(all, part());
  return all;
}

std::vector<OpCase> with_rounded_weights(std::vector<OpCase> cases) {
  for (OpCase& each : cases)
    if ((each.operation == "attention" || each.operation == "attention_backward") &&
        each.name.find("bf16") != std::string::npos)
      each.rounding = std::max(each.rounding, 0x1p-9);
  return cases;
}

std::vector<OpCase> large_cases() {
  std::vector<OpCase> all;
  for (const auto& part : {product_large_cases, norm_large_cases, loss_large_cases}) append(all, part());
  return all;
}

std::vector<OpCase> timing_cases() {
  std::vector<OpCase> all;
  for (const auto& part : {product_timing_cases, norm_timing_cases, pointwise_timing_cases, attention_timing_cases,
                           loss_timing_cases, range_timing_cases})
    append(all, part());
  return all;
}

std::vector<std::string> operations_of_interface() {
  const auto header = std::filesystem::path(FERULA_SOURCE_DIR) / "src/ops/ops.hpp";
  std::ifstream file(header);
  FERULA_CHECK(file.good(), "cannot read {}", header.string());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::regex declaration(R"(virtual (?:void (\w+)\(Stream&|std::unique_ptr<PreparedWeight> (\w+)\())");
  std::vector<std::string> names;
  for (auto match = std::sregex_iterator(text.begin(), text.end(), declaration); match != std::sregex_iterator();
       ++match)
    names.push_back((*match)[1].matched ? (*match)[1] : (*match)[2]);
  return names;
}

}  // namespace ferula::test
