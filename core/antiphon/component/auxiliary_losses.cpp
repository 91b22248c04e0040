#include <antiphon/component/auxiliary_losses.h>

#include <utility>

namespace antiphon {
namespace {

thread_local AuxiliaryLosses* losses_now = nullptr;

}  // namespace

AuxiliaryLosses::AuxiliaryLosses(double share) : before_(std::exchange(losses_now, this)), share_(share) {}
AuxiliaryLosses::~AuxiliaryLosses() { losses_now = before_; }
AuxiliaryLosses* AuxiliaryLosses::now() { return losses_now; }

void AuxiliaryLosses::add(const std::string& name, double coefficient, double value) {
  terms_[name] = {coefficient, value};
}

}  // namespace antiphon
