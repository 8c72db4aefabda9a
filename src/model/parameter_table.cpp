#include "model/parameter_table.hpp"

#include <cmath>
#include <initializer_list>

#include "base/glob.hpp"

namespace ferula {
namespace {

/// Appends the tensors of one unit.
class UnitBuilder {
 public:
  UnitBuilder(const TransformerSpec& spec, DType storage, std::string name)
      : spec_(spec), storage_(storage), unit_{std::move(name), {}} {}

  void embedding(const std::string& name, std::int64_t rows, TensorCut cut) {
    add({.name = name, .shape = {rows, spec_.width}, .cut = cut, .init_std = spec_.init_std});
  }

  void norm(const std::string& name) {
    add({.name = name + ".weight", .shape = {spec_.width}, .decay = false, .init = InitKind::ones});
    if (has_biases()) add({.name = name + ".bias", .shape = {spec_.width}, .decay = false, .init = InitKind::zeros});
  }

  struct Part {
    std::string name;
    std::int64_t outputs;
  };
  /// Layers with one input, whose weights lie behind each other and so do their biases.
  void linear(const std::vector<Part>& parts, std::int64_t inputs, TensorCut cut, float init_std) {
    Placing placing = Placing::separate;
    for (const Part& part : parts) {
      add({.name = part.name + ".weight",
           .shape = {part.outputs, inputs},
           .cut = cut,
           .init_std = init_std,
           .placing = placing});
      placing = Placing::joined_to_previous;
    }
    if (!has_biases()) return;
    placing = Placing::separate;
    for (const Part& part : parts) {
      add({.name = part.name + ".bias",
           .shape = {part.outputs},
           .cut = bias_cut(cut),
           .decay = false,
           .init = InitKind::zeros,
           .placing = placing});
      placing = Placing::joined_to_previous;
    }
  }

  UnitSpec take() { return std::move(unit_); }

 private:
  bool has_biases() const { return spec_.family.biases == BiasKind::present; }
  static TensorCut bias_cut(TensorCut weight) { return weight == TensorCut::rows ? TensorCut::rows : TensorCut::none; }
  void add(ParamSpec param) {
    param.storage = storage_;
    unit_.params.push_back(std::move(param));
  }

  const TransformerSpec& spec_;
  DType storage_;
  UnitSpec unit_;
};

UnitSpec embedding_table(const TransformerSpec& spec, DType storage) {
  UnitBuilder unit(spec, storage, "embedding");
  unit.embedding("embedding.token.weight", spec.vocabulary, TensorCut::rows);
  if (spec.family.positions == PositionKind::learned)
    unit.embedding("embedding.position.weight", spec.context, TensorCut::none);
  if (spec.tied) unit.norm("final_norm");
  return unit.take();
}

UnitSpec block_table(const TransformerSpec& spec, DType storage, std::int64_t layer) {
  const std::string name = fmt::format("blocks.{}", layer);
  const float residual_std = spec.init_std / std::sqrt(2.0f * static_cast<float>(spec.layers));
  const std::string attention = name + ".attention", feed_forward = name + ".feed_forward";
  std::vector<UnitBuilder::Part> hidden;
  if (spec.family.activation == ActivationKind::swiglu) hidden.push_back({feed_forward + ".gate", spec.ffn_width});
  hidden.push_back({feed_forward + ".up", spec.ffn_width});

  UnitBuilder unit(spec, storage, name);
  unit.norm(name + ".attention_norm");
  unit.linear({{attention + ".query", spec.query_width()},
               {attention + ".key", spec.kv_width()},
               {attention + ".value", spec.kv_width()}},
              spec.width, TensorCut::rows, spec.init_std);
  unit.linear({{attention + ".output", spec.width}}, spec.query_width(), TensorCut::columns, residual_std);
  unit.norm(name + ".feed_forward_norm");
  unit.linear(hidden, spec.width, TensorCut::rows, spec.init_std);
  unit.linear({{feed_forward + ".down", spec.width}}, spec.ffn_width, TensorCut::columns, residual_std);
  return unit.take();
}

UnitSpec head_table(const TransformerSpec& spec, DType storage) {
  UnitBuilder unit(spec, storage, "head");
  unit.norm("final_norm");
  unit.embedding("head.weight", spec.vocabulary, TensorCut::rows);
  return unit.take();
}

enum class Matched : std::uint8_t { nothing, something };

/// Calls `edit` for every tensor that `glob` matches.
template <class Edit>
Matched edit_matching(ModelSpec& model, const std::string& glob, Edit edit) {
  Matched matched = Matched::nothing;
  for (UnitSpec& unit : model)
    for (ParamSpec& param : unit.params)
      if (glob_matches(glob, param.name)) {
        edit(param);
        matched = Matched::something;
      }
  return matched;
}

/// Joined tensors lie in one flat range, so all of them are trained or none.
void separate_mixed_groups(UnitSpec& unit) {
  std::vector<ParamSpec>& params = unit.params;
  for (std::size_t first = 0; first < params.size();) {
    std::size_t end = first + 1;
    bool mixed = false;
    for (; end < params.size() && params[end].placing == Placing::joined_to_previous; ++end)
      mixed |= params[end].trainable != params[first].trainable;
    for (std::size_t member = first; mixed && member < end; ++member) params[member].placing = Placing::separate;
    first = end;
  }
}

}  // namespace

ModelSpec parameter_table(const TransformerSpec& spec, DType storage) {
  ModelSpec model;
  model.push_back(embedding_table(spec, storage));
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) model.push_back(block_table(spec, storage, layer));
  if (!spec.tied) model.push_back(head_table(spec, storage));
  return model;
}

std::size_t block_unit(std::int64_t layer) { return static_cast<std::size_t>(layer) + 1; }

std::size_t head_unit(const TransformerSpec& spec) { return spec.tied ? 0 : block_unit(spec.layers); }

void apply_no_decay(ModelSpec& model, std::span<const std::string> globs) {
  for (const std::string& glob : globs) edit_matching(model, glob, [](ParamSpec& param) { param.decay = false; });
}

void freeze(ModelSpec& model, std::span<const std::string> globs) {
  for (const std::string& glob : globs) {
    const Matched matched = edit_matching(model, glob, [](ParamSpec& param) { param.trainable = false; });
    if (matched == Matched::nothing)
      throw ConfigError(
          fmt::format("[training] frozen: expected globs of tensor names such as \"{}\", found \"{}\", "
                      "which matches none of this model; correct or remove it",
                      model.back().params.front().name, glob));
  }
  if (std::none_of(model.begin(), model.end(), [](const UnitSpec& unit) { return unit.trains(); }))
    throw ConfigError(fmt::format("[training] frozen: expected some tensors to be trained, but {} leave none",
                                  fmt::join(globs, ", ")));
  for (UnitSpec& unit : model) separate_mixed_groups(unit);
}

}  // namespace ferula
