// Each test case begins with LibTorch's generator as a new process has it: what others draw before changes nothing.
#include <ATen/ATen.h>

#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>

namespace {

class FreshGenerator : public Catch::EventListenerBase {
 public:
  using Catch::EventListenerBase::EventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo& /*info*/) override { at::manual_seed(at::default_rng_seed_val); }
};

CATCH_REGISTER_LISTENER(FreshGenerator)

}  // namespace
