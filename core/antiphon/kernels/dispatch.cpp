#include <antiphon/kernels/rows.h>

namespace antiphon::kernels {

#define ANTIPHON_DECLARE_TABLES(isa)            \
  namespace isa {                               \
  const RowKernels<float>& float_table();       \
  const RowKernels<uint16_t>& bfloat16_table(); \
  }
ANTIPHON_DECLARE_TABLES(baseline)
ANTIPHON_DECLARE_TABLES(avx2)
ANTIPHON_DECLARE_TABLES(avx512)

namespace {

enum class Isa { baseline, avx2, avx512 };

Isa find_isa() {
#ifdef ANTIPHON_X86_KERNELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return Isa::avx2;
#endif
  return Isa::baseline;
}

Isa isa() {
  static const Isa found = find_isa();
  return found;
}

}  // namespace

template <>
const RowKernels<float>& row_kernels<float>() {
#ifdef ANTIPHON_X86_KERNELS
  if (isa() == Isa::avx512) return avx512::float_table();
  if (isa() == Isa::avx2) return avx2::float_table();
#endif
  return baseline::float_table();
}

template <>
const RowKernels<uint16_t>& row_kernels<uint16_t>() {
#ifdef ANTIPHON_X86_KERNELS
  if (isa() == Isa::avx512) return avx512::bfloat16_table();
  if (isa() == Isa::avx2) return avx2::bfloat16_table();
#endif
  return baseline::bfloat16_table();
}

}  // namespace antiphon::kernels
