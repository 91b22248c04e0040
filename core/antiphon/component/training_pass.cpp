#include <antiphon/component/training_pass.h>

#include <utility>

namespace antiphon {
namespace {

thread_local bool training_now = false, again_now = false;

}  // namespace

TrainingPass::TrainingPass(bool training, bool again)
    : training_before_(std::exchange(training_now, training)), again_before_(std::exchange(again_now, again)) {}
TrainingPass::~TrainingPass() { training_now = training_before_, again_now = again_before_; }
bool TrainingPass::now() { return training_now; }
bool TrainingPass::again() { return again_now; }

}  // namespace antiphon
