// A parameter-efficient fine-tuning method: small trainable tensors attached to sites of a frozen model.
#pragma once
#include <antiphon/component/decoder_state.h>
#include <antiphon/component/kind.h>
#include <antiphon/component/module.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/component/token_kinds.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace antiphon {

struct AdapterFile;  // component/adapter_file.h
struct StackedPart;

// A low-rank change of a linear map: y += scale · B (A x).
struct LowRank {
  at::Tensor a, b;  // [rank, in], [out, rank]
  double scale = 1;
};

// The linear map that an adapter changes: the layer's own, in whatever form its weight is stored (quantised, FP8), or
// that map with earlier adapters applied.
class LinearBase {
 public:
  virtual ~LinearBase() = default;
  // x [..., in] -> [..., out], bias included; differentiable.
  virtual at::Tensor product(const at::Tensor& x) const = 0;
  // If the map is x · weightᵀ + bias with these tensors, in the dtype of x: then an adapter may compute the product and
  // its change in one node. `bias` may be undefined.
  struct Plain {
    at::Tensor weight, bias;
  };
  virtual std::optional<Plain> plain(const at::Tensor&) const { return std::nullopt; }
  // The same in float32 and without a gradient, whatever form the weight is kept in; its weight is undefined if the map
  // is not of this form.
  virtual Plain weights() const { return {}; }
  // What lengths of rows follow from without W being formed in float32, of a map x · Wᵀ + bias that stays as it is: the
  // squares of the lengths of W's rows [out], a · Wᵀ of vectors a [n, in] float32, and whether there is a bias.
  // float32, without a gradient. nullopt: ask weights().
  struct Rows {
    at::Tensor squares, products_nd;
    bool biased = false;
  };
  virtual std::optional<Rows> rows(const at::Tensor&) const { return std::nullopt; }
  // What each of several processes has of sums over the layer's inputs, added up over them, in place: W's columns are
  // divided among them. Called by all of them alike.
  virtual at::Tensor over_inputs(at::Tensor sums) const { return sums; }
};

// An adapter at one linear site.
class LinearAdapter {
 public:
  virtual ~LinearAdapter() = default;
  // x [..., in] -> [..., out].
  virtual at::Tensor forward(const at::Tensor& x, const LinearBase& base) = 0;
  // The whole change, if it has this form, so that decoding can fuse it; else undefined tensors.
  virtual LowRank low_rank() const { return {}; }
  // The weight and bias with the adapter merged in, float32, from those without it; one of them may be undefined and is
  // then not wanted. nullopt: they cannot be merged.
  virtual std::optional<LinearBase::Plain> merged(const LinearBase::Plain&) const { return std::nullopt; }
  // For a layer that several processes share: the adapter of this process's outputs [begin, begin + size) on all
  // inputs, or of the layer's products with these inputs, which are added up over the processes. Before its parameters
  // have values. Default: Error(config).
  virtual void keep_outputs(int64_t begin, int64_t size);
  virtual void keep_inputs(int64_t begin, int64_t size);
  // Whether it reads what the layer gives and nothing else, so that it comes after products are added up. Of x it reads
  // the dtype alone. keep_inputs() is not called then.
  virtual bool reads_outputs_only() const { return false; }
  // For a layer that some processes have and others do not: Module::keep(). Default: Error(config).
  virtual void keep(bool all);

  int set = 0;  // which of a model's methods it belongs to; see AdapterScope
  // Which rows it changes, of language models: forward() gets these alone. Not in the place of all, it is not merged.
  TokenChoice tokens = TokenChoice::all;
};

// Which methods' adapters take part in the forward passes of this thread while an object lives: bit i for set i.
// Without one, all do.
class AdapterScope {
 public:
  explicit AdapterScope(uint64_t sets);
  ~AdapterScope();
  AdapterScope(const AdapterScope&) = delete;
  static bool active(int set);
  static uint64_t now();               // the sets, for a scope that makes the same again
  static constexpr size_t kMost = 64;  // sets

 private:
  uint64_t before_;
};

// The part of a model that a method changes.
struct PeftTarget {
  std::vector<Site> sites;  // by the module names of the Hugging Face model: "model.layers.0.self_attn.q_proj"
  int64_t hidden_size = 0;  // of a language model, whose sequences may begin with virtual tokens; 0: of another part
  std::vector<std::string> parameters = {};  // all of the part, by the names of the Hugging Face model
  // ids [n] int64 -> [n, hidden_size], of a language model that has values. Called by all processes that have it
  // together, alike.
  std::function<at::Tensor(const at::Tensor& ids)> embed = {};
  // Of a language model that takes learned keys and values before those of its sequences; else without layers.
  KvShape kv = {};
  std::vector<Site> tables = {};  // of tokens, in the same way: "model.embed_tokens", "lm_head"
};

class Peft {
 public:
  virtual ~Peft() = default;
  // Attaches to the sites that match the targets and returns their paths. Error(config) if a target matches no site, or
  // if the method is for language models and the part is another. Several methods may share a site: each changes the
  // map that the earlier ones produced. Parameters are created on the meta device.
  virtual std::vector<std::string> attach(const PeftTarget& target) = 0;
  // Those of PeftTarget::parameters that the method trains beside its own, once it is attached. They stay the part's.
  virtual std::vector<std::string> also_trained() const { return {}; }
  // Called once, when the part and the method's parameters have values and no file gave the latter: for starts that the
  // Init of a parameter cannot say. Nothing but its own parameters may change.
  virtual void start(uint64_t /*seed*/) {}
  // How many virtual tokens it puts before every sequence, once it is attached, and their embeddings [prompt_tokens(),
  // hidden_size] in the dtype of its parameters; with a gradient.
  virtual int64_t prompt_tokens() const { return 0; }
  virtual at::Tensor prompt() { return {}; }
  // How many keys and values it puts before those of every sequence, once it is attached, and these, as they stand in
  // a cache: [layers, 2, prefix_tokens(), kv_heads, head_size] in the dtype of its parameters; with a gradient.
  virtual int64_t prefix_tokens() const { return 0; }
  virtual at::Tensor prefix() { return {}; }
  // What PEFT's files hold of virtual tokens, [tokens, ...]: the embeddings, or what the method makes keys and values
  // of.
  virtual at::Tensor prompt_embeddings() { return prompt(); }
  // The parameter that these are. Error(weights) if they are computed from others.
  virtual std::string prompt_parameter() const { return {}; }
  // The parameters, named as in PEFT below "base_model.model.": "<site path>.lora_A.weight". Of a method with virtual
  // tokens PEFT keeps their embeddings alone.
  virtual Module& module() = 0;
  // The key of a parameter in PEFT's file. Default: "base_model.model." before its name, up to kOursBehind
  // (component/adapter_file.h) if there is such: what it says beside, as of which tokens it has rows, tells it from the
  // values of another run.
  virtual std::string key_of(const std::string& parameter) const;
  // What PEFT's file holds, by such names. Default: the parameters.
  virtual std::vector<std::pair<std::string, at::Tensor>> file_tensors();
  // What PEFT's file may hold of the part as it was before it was trained, named by key: it must be what the part has,
  // or has a part of. Such a tensor has no parameter of the method. Default: nothing.
  virtual std::vector<Parameter> copies_of_part() const { return {}; }
  // Whether all layers share a parameter, which has the most rows and columns of any: a file of several parts has one
  // for the layers of all of them, of which this part takes the beginning. Default: none is shared.
  virtual bool is_shared(const std::string& /*parameter*/) const { return false; }
  // Keys under which PEFT's file may have a tensor once more, each with the key that the method has it by; they must be
  // equal. Default: none.
  virtual std::vector<std::pair<std::string, std::string>> repeated_keys() const { return {}; }
  // Of a part with layers that are several here and one in the model of transformers (weights/stacked.h), whose name
  // PEFT's files have: `file` names them as they are here, and becomes what PEFT has on that one. Returns why there is
  // no such form; then the file is written as it was, with a warning. Default: the method has none.
  virtual std::string stack_layers(AdapterFile& file, const StackedPart& part) const;
  // The other way round, before the file's settings are compared: its tensors become those of what is attached, and
  // the settings of stacks are taken out. False: it is not of this method, or has nothing to take apart, and stays as
  // it is. Error(weights) if that is not the same change. Default: false.
  virtual bool unstack_layers(AdapterFile& file, const StackedPart& part);
  // Several parts' adapters as one of the whole model, as PEFT has them: adds what `part` holds of the method's own to
  // `whole`, whose settings are null before the first, with target_modules. `in_whole` gives the whole model's name of
  // a layer of the part; of a part that is one layer, that of "". Returns why there is no such adapter; empty if there
  // is one. Default: the method has none.
  virtual std::string join(AdapterFile& whole, const AdapterFile& part,
                           const std::function<std::string(const std::string& layer)>& in_whole) const;
  // PEFT's adapter_config.json for what is attached.
  virtual nlohmann::json adapter_config() const = 0;
  // The keys that PEFT's class for the method has: those with the one value that is supported, and those without effect
  // (component/pretrained.h). A file with any other key is refused.
  virtual ForeignKeys config_keys() const = 0;
  // Those that must be in a file, with the value that adapter_config() gives.
  virtual std::vector<std::string> compared_keys() const = 0;
  // Why its adapters cannot become part of the weights, for messages: "it computes with ...". Default: they can.
  virtual std::string why_not_merged() const { return {}; }
  bool can_merge() const { return why_not_merged().empty(); }
  // Whether its gradients are those of what it computes; false if a paper holds some of it still.
  virtual bool exact_gradient() const { return true; }
  // Folds every adapter into its base weight (in float32, rounded once) and detaches it. Error(config) if it cannot, or
  // if another method's adapter was attached to a site before.
  virtual void merge() = 0;
};

template <>
struct KindOf<Peft> : Kind<> {
  static constexpr const char* name = "peft";
};

}  // namespace antiphon
