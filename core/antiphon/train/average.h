// Exponential moving averages of what is trained (Polyak & Juditsky 1992, as in nemo/collections/common/callbacks/
// ema.py): after each update  average = decay · average + (1 - decay) · value,  from the values that the run began
// with.
#pragma once
#include <exception>
#include <functional>
#include <vector>

#include <antiphon/checkpoint/stored_tensor.h>
#include <antiphon/component/module.h>

namespace antiphon::train {

class Average {
 public:
  // Takes the values of `trained` as they are, pieces too. decay in 0 … 1.
  Average(std::vector<Parameter> trained, double decay);
  void update();
  // Exchanges averages and values, in place; the second time puts them back, to the bit.
  void exchange();
  // As kept in checkpoints: "<parameter>#ema", each a piece as its parameter is, and of which parameter.
  struct State {
    Parameter value;
    const Parameter* of = nullptr;
  };
  std::vector<State> state();
  // Error(weights) if the checkpoint has none.
  void restore(const checkpoint::StoredTensors& state);

  // While an object of this class lives, the model computes with the averages, if there are any. `exchanged` is called
  // after each exchange, but for that of a scope which is left by an exception.
  class Scope {
   public:
    Scope(Average* average, std::function<void()> exchanged) : average_(average), exchanged_(std::move(exchanged)) {
      exchange();
    }
    ~Scope() noexcept(false) { exchange(); }
    Scope(const Scope&) = delete;

   private:
    void exchange() {
      if (average_) average_->exchange();
      if (average_ && std::uncaught_exceptions() == before_) exchanged_();
    }
    Average* average_;
    std::function<void()> exchanged_;
    int before_ = std::uncaught_exceptions();
  };

 private:
  std::vector<Parameter> trained_;
  std::vector<at::Tensor> values_;
  double decay_;
};

// The state with averages in place of the parameters that have one; Error(weights) if none has.
checkpoint::StoredTensors averaged(checkpoint::StoredTensors parameters, const checkpoint::StoredTensors& state);

}  // namespace antiphon::train
