// A tree of named parameters. Components have a Module; layers are Modules.
//
// Why not torch::nn::Module: a parameter here is one tensor member that can be replaced in place. Modules are built
// on the meta device, which costs nothing and gives shapes and counts; weights are then inserted without a copy.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace antiphon {

namespace nn {
class Linear;
}
class TokenTable;

// How a parameter is initialised if no checkpoint gives it a value.
enum class Init {
  zeros,
  ones,
  normal_002 /* N(0, 0.02) */,
  normal /* N(0, 1), as torch.nn.Embedding */,
  linear_uniform /* U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as torch.nn.Linear */,
  log_inverse_007 /* ln(1 / 0.07), CLIP's scale of logits */,
  log_10 /* SigLIP's */,
  minus_10 /* SigLIP's bias of logits */
};

// What a parameter is, whatever its shape: optimizers treat these differently.
enum class Role {
  matrix,     // [out, in] of a linear map
  vector,     // scales, biases, single tokens: no weight decay by default
  embedding,  // rows that stand for tokens, positions or classes: embeddings and heads
  filter      // of a convolution
};

// What a tensor holds of a parameter that several processes share: a box in it.
struct Box {
  std::vector<int64_t> whole;  // shape of the parameter
  std::vector<int64_t> begin;  // where the tensor begins in it
};

struct Parameter {
  std::string name;  // full path from the module that was asked, e.g. "layers.3.self_attn.q_proj.weight"
  at::Tensor* tensor = nullptr;
  Init init = Init::zeros;
  Role role = Role::matrix;
  bool fixed = false;                         // never trained: running statistics
  std::optional<Box> box = std::nullopt;      // nullopt: the tensor is the whole parameter
  bool constant = false;                      // fixed, and no statistics either: passes do not change it
  std::optional<double> most = std::nullopt;  // optimizers keep its values at this or below

  std::vector<int64_t> whole_sizes() const;
  int64_t numel() const;  // of the whole
  at::Tensor part_of(const at::Tensor& whole) const;
};

// A linear layer with its path name: the place that adapters, quantisation and sharding attach to. Or a table of tokens
// (token_table.h), which adapters alone attach to.
struct Site {
  std::string path;
  nn::Linear* linear = nullptr;
  TokenTable* table = nullptr;
};

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module();

  // Every parameter below this module, in the order of declaration. Buffers that a formula gives (rope tables,
  // mel filters) are not parameters.
  std::vector<Parameter> parameters();
  std::vector<Site> sites();
  // The tables of tokens, by the names of their weights; one that is the embedding, too, by the name that its own would
  // have.
  std::vector<Site> tables();
  // Number of scalars in all parameters, or in those that require a gradient, other processes' parts included.
  int64_t parameter_count();
  int64_t trainable_count();
  void set_requires_grad(bool on);
  // Gives every parameter that is still on the meta device a tensor of its shape, initialised by its Init rule.
  void initialize(uint64_t seed, at::Device device);
  // Moves and casts floating parameters in place; meta tensors stay meta.
  void to(at::Device device, at::ScalarType dtype);
  // Keeps of an own parameter, which is still on the meta device, what lies in [begin, begin + size) of a dimension:
  // the rest is other processes'.
  void keep_part(at::Tensor& tensor, int64_t dimension, int64_t begin, int64_t size);
  // The same of a module that not all processes have: this one keeps all that it has of each parameter, or nothing.
  void keep(bool all);

 protected:
  // Declares `tensor` as parameter `name` of this shape, on the meta device, float32. The tensor must be a member.
  void add(std::string name, at::Tensor& tensor, at::IntArrayRef shape, Init init, Role role,
           std::optional<double> most = std::nullopt);
  // The same for a tensor that a checkpoint holds and that is never trained.
  void add_fixed(std::string name, at::Tensor& tensor, at::IntArrayRef shape, Init init);
  // The same for one that forward passes leave alone, too: what a method of fine-tuning began with.
  void add_constant(std::string name, at::Tensor& tensor, at::IntArrayRef shape);
  // Declares a parameter that another module has, too.
  void adopt(Parameter parameter);
  // Declares a child; it must be a member or owned by one, and live as long as this module.
  void add(std::string name, Module& child);
  // Declares a table of tokens, which must be a member.
  void add(std::string name, TokenTable& table);

 private:
  friend class nn::Linear;
  void visit(const std::string& prefix, const std::function<void(const std::string&, Module&)>& body);
  std::vector<Parameter> own_;
  std::vector<std::pair<std::string, Module*>> children_;
  std::vector<std::pair<std::string, TokenTable*>> tables_;
  nn::Linear* linear_ = nullptr;  // set by nn::Linear on itself
};

// "layers.3" + "weight" -> "layers.3.weight"; an empty prefix adds no dot.
std::string join_path(const std::string& prefix, const std::string& name);

}  // namespace antiphon
