// Small helpers with which the table of settings is written.
#include "config/setting.hpp"

#include <type_traits>
#include <utility>

namespace ferula {

Setting& Setting::in(std::string new_unit) {
  unit = std::move(new_unit);
  return *this;
}

Setting& Setting::when_auto(std::string rule) {
  auto_rule = std::move(rule);
  return *this;
}

Setting& Setting::of_types(std::initializer_list<std::string> owners) {
  types = owners;
  return *this;
}

Setting& Setting::on_resume(ResumeEffect new_effect) {
  effect = new_effect;
  return *this;
}

bool Setting::is_auto() const {
  return std::visit(
      [](const auto* member) {
        if constexpr (requires { member->is_auto(); }) {
          return member->is_auto();
        } else {
          return false;
        }
      },
      target);
}

Limits at_least(double least) {
  Limits limits;
  limits.least = least;
  return limits;
}

Limits above(double least) {
  Limits limits = at_least(least);
  limits.above_least = true;
  return limits;
}

Limits between(double least, double most) {
  Limits limits = at_least(least);
  limits.most = most;
  return limits;
}

Limits from_below(double least, double most) {
  Limits limits = between(least, most);
  limits.below_most = true;
  return limits;
}

Limits one_of(std::initializer_list<std::string> choices, std::initializer_list<std::string> later) {
  Limits limits;
  limits.choices = choices;
  limits.later_choices = later;
  return limits;
}

}  // namespace ferula
