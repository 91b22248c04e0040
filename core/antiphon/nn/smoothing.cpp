#include <antiphon/nn/smoothing.h>

#include <utility>

namespace antiphon::nn {
namespace {

thread_local const Smoothing* smoothing_now = nullptr;

}  // namespace

Smoothing::Scope::Scope(const Smoothing& smoothing) : before_(std::exchange(smoothing_now, &smoothing)) {}
Smoothing::Scope::~Scope() { smoothing_now = before_; }

Smoothing Smoothing::now() { return smoothing_now ? *smoothing_now : Smoothing(); }

}  // namespace antiphon::nn
