#include <antiphon/early/cpu_quota.h>
#include <antiphon/early/settings.h>

#include <cstdio>
#include <cstdlib>

namespace antiphon::early {
namespace {

// How often a waiting thread polls before it sleeps: about 10 us, until the next part of a step. GCC's library polls
// for milliseconds by default, which takes the processor from other processes. Found by measuring (SmolLM2's shape, two
// cores with AVX2, a LoRA step in tokens/s alone and of each of two at once): 300 looks 310 and 160, 1000 looks 310 and
// 154, 4000 looks 310 and 143, 10000 looks 310 and 130. Decoding has threads of its own (kernels/team.h).
constexpr const char* kSpinCount = "1000";

bool set(const char* name, const char* value) { return !std::getenv(name) && setenv(name, value, 0) == 0; }

bool bound_spinning() { return !std::getenv("OMP_WAIT_POLICY") && set("GOMP_SPINCOUNT", kSpinCount); }

// A quota does not show in the number of processors: with a thread for each of them, all are stopped in turn.
bool follow_quota(const char* root) {
  const double quota = cpu_quota(root);
  if (quota <= 0) return false;
  char threads[32];
  std::snprintf(threads, sizeof threads, "%d", processors(quota));
  return set("OMP_NUM_THREADS", threads);
}

}  // namespace

bool settle_openmp(const char* root) {
  const bool bounded = bound_spinning();
  return follow_quota(root) || bounded;
}

}  // namespace antiphon::early
