#include <antiphon/component/training_pass.h>

#include <utility>

namespace antiphon {
namespace {

thread_local bool training_now = false, again_now = false;
thread_local uint64_t key_now = 0;

}  // namespace

TrainingPass::TrainingPass(bool training, bool again, uint64_t key)
    : training_before_(std::exchange(training_now, training)),
      again_before_(std::exchange(again_now, again)),
      key_before_(std::exchange(key_now, key)) {}
TrainingPass::~TrainingPass() { training_now = training_before_, again_now = again_before_, key_now = key_before_; }
bool TrainingPass::now() { return training_now; }
bool TrainingPass::again() { return again_now; }
uint64_t TrainingPass::key() { return key_now; }

}  // namespace antiphon
