#include <antiphon/component/peft.h>

#include <utility>

namespace antiphon {
namespace {

constexpr uint64_t kAll = ~uint64_t{0};
thread_local uint64_t active_sets = kAll;

}  // namespace

AdapterScope::AdapterScope(uint64_t sets) : before_(std::exchange(active_sets, sets)) {}
AdapterScope::~AdapterScope() { active_sets = before_; }
uint64_t AdapterScope::now() { return active_sets; }
bool AdapterScope::active(int set) { return (active_sets >> set & 1) != 0; }

}  // namespace antiphon
