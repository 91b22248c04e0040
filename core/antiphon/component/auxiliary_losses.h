// Terms that layers add to the loss of a training pass, e.g. the load balance of experts. Their gradient is the layers'
// own matter; here is what they amount to.
#pragma once
#include <map>
#include <string>

namespace antiphon {

// Of this thread, while an object of this class lives; the innermost one counts.
class AuxiliaryLosses {
 public:
  // `share`: of the step's tokens, that the pass computes; times the loss scale, if the gradients are to have one.
  explicit AuxiliaryLosses(double share);
  ~AuxiliaryLosses();
  AuxiliaryLosses(const AuxiliaryLosses&) = delete;
  static AuxiliaryLosses* now();  // nullptr: nobody wants any

  double share() const { return share_; }
  // The loss of the step gets coefficient · share · value.
  void add(const std::string& name, double coefficient, double value);

  struct Term {
    double coefficient = 0, value = 0;
  };
  const std::map<std::string, Term>& terms() const { return terms_; }

 private:
  AuxiliaryLosses* before_;
  double share_;
  std::map<std::string, Term> terms_;
};

}  // namespace antiphon
