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

// malloc() marks its memory for huge pages (glibc 2.35), which a kernel gives unasked only if it is set to "always".
// Weights that are read once a token then cost a look-up of an address in 2 MiB in place of one in 4 KiB: on an Intel
// Xeon in a virtual machine decoding is 1.35 times as fast, a LoRA step 1.03 times, and the peak of memory is the same
// within 1 %.
bool ask_for_huge_pages() { return set("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"); }

}  // namespace

bool settle(const char* root) {
  const bool bounded = bound_spinning(), asked = ask_for_huge_pages();
  return follow_quota(root) || bounded || asked;
}

}  // namespace antiphon::early
