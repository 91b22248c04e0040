#include <antiphon/component/training_pass.h>

#include <c10/core/GradMode.h>

namespace antiphon {
namespace {

thread_local int passes = 0;

}  // namespace

TrainingPass::TrainingPass() { ++passes; }
TrainingPass::~TrainingPass() { --passes; }
bool TrainingPass::now() { return passes > 0 && c10::GradMode::is_enabled(); }

}  // namespace antiphon
