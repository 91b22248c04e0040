// What every component with parameters must do: encoders, connectors, language models, adapters.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>

#include "subject.h"

namespace antiphon::apps::conformance {

// A component with a generated input that reaches all of it.
struct Network {
  std::shared_ptr<void> owner;
  Module* module = nullptr;                           // on the meta device
  std::function<at::Tensor(at::ScalarType)> forward;  // the same input, in this dtype
  bool exact_gradient = true;                         // untrue: a finite difference gives another
};
using MakeNetwork = std::function<Network()>;

void check_network(Report& report, const MakeNetwork& make);
// The map names each parameter both ways, and a checkpoint written by it reads back bitwise.
void check_name_map(Report& report, const MakeNetwork& make, const NameMap& map);

// Initialised, and moved off the start, so that no zero hides a path.
void start(Module& module, uint64_t seed);
Network started(const MakeNetwork& make, uint64_t seed);
// Seeded on its own: normal values of this shape, float32.
at::Tensor made(at::IntArrayRef shape, uint64_t seed);

// Unmet unless the shapes are equal and max|got - wanted| <= tolerance * max|wanted|.
void expect_close(const at::Tensor& got, const at::Tensor& wanted, double tolerance, const std::string& what);
// Unmet if the backward pass left x no gradient, or zeros alone.
void expect_gradient(const at::Tensor& x, const std::string& on_what);
void expect_finite(const at::Tensor& x, const std::string& what);
void expect_shape(const at::Tensor& x, at::IntArrayRef shape, const std::string& what);

// Largest model that conformance runs; more takes too long and too much memory.
inline constexpr int64_t max_parameters = 20'000'000;
// False (and a failed check) if the options make a larger one.
bool check_size(Report& report, const Subject& subject, Module& module);

// Default dtype, gradient mode, state of the default generator, threads, locale.
class GlobalState {
 public:
  GlobalState();
  void check_unchanged(Report& report) const;

 private:
  caffe2::TypeMeta dtype_;
  bool gradients_;
  at::Tensor generator_;
  int threads_;
  std::string locale_;
};

}  // namespace antiphon::apps::conformance
