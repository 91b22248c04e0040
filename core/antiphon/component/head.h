// What is read off the decoder's hidden state of a token besides the next one: a reward, values of attributes. The head
// that gives the logits of tokens belongs to the language model, which may share its matrix with the embedding.
#pragma once
#include <antiphon/component/kind.h>
#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>

namespace antiphon {

class Head {
 public:
  virtual ~Head() = default;
  virtual int64_t outputs() const = 0;  // numbers of a token
  // hidden [n, hidden_size] -> [n, outputs()]; differentiable. Rows do not depend on each other.
  virtual at::Tensor forward(const at::Tensor& hidden_nd) = 0;
  virtual Module& module() = 0;
  virtual NameMap name_map() const = 0;  // to the names of a Hugging Face checkpoint
};

// What the graph tells a head when it builds it.
struct HeadShape {
  int64_t hidden_size = 0;
};

template <>
struct KindOf<Head> : Kind<HeadShape> {
  static constexpr const char* name = "head";
};

}  // namespace antiphon
