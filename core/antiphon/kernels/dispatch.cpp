#include <antiphon/base/error.h>
#include <antiphon/kernels/decode.h>
#include <antiphon/kernels/isa.h>
#include <antiphon/kernels/matmul.h>
#include <antiphon/kernels/resample.h>
#include <antiphon/kernels/rows.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace antiphon::kernels {

#define ANTIPHON_DECLARE_TABLES(isa)                      \
  namespace isa {                                         \
  const RowKernels<float>& float_table();                 \
  const RowKernels<uint16_t>& bfloat16_table();           \
  const DecodeKernels<float>& float_decode_table();       \
  const DecodeKernels<uint16_t>& bfloat16_decode_table(); \
  const ResampleKernels& resample_table();                \
  const MatmulKernel& matmul_kernel();                    \
  }
ANTIPHON_DECLARE_TABLES(baseline)
ANTIPHON_DECLARE_TABLES(avx2)
ANTIPHON_DECLARE_TABLES(avx512)

namespace {

Isa isa_of_cpu() {
#ifdef ANTIPHON_X86_KERNELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return __builtin_cpu_supports("avx512bf16") ? Isa::avx512_bf16 : Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return Isa::avx2;
#endif
  return Isa::baseline;
}

Isa isa_wanted() {
  const char* given = std::getenv("ANTIPHON_ISA");
  if (!given || !*given) return Isa::avx512_bf16;
  for (const auto isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16})
    if (std::string_view(given) == name_of(isa)) return isa;
  fail(ErrorKind::config, "ANTIPHON_ISA in the environment is '" + std::string(given) + "'",
       "let it be baseline, avx2, avx512 or avx512_bf16, or unset it");
}

}  // namespace

Isa isa() {
  static const Isa found = std::min(isa_of_cpu(), isa_wanted());
  return found;
}

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::avx512_bf16: return "avx512_bf16";
    case Isa::avx512: return "avx512";
    case Isa::avx2: return "avx2";
    case Isa::baseline: break;
  }
  return "baseline";
}

#ifdef ANTIPHON_X86_KERNELS
#define ANTIPHON_CHOSEN(table) \
  isa() >= Isa::avx512 ? avx512::table() : isa() == Isa::avx2 ? avx2::table() : baseline::table()
#else
#define ANTIPHON_CHOSEN(table) baseline::table()
#endif

template <>
const RowKernels<float>& row_kernels<float>() {
  return ANTIPHON_CHOSEN(float_table);
}

template <>
const RowKernels<uint16_t>& row_kernels<uint16_t>() {
  return ANTIPHON_CHOSEN(bfloat16_table);
}

template <>
const DecodeKernels<float>& decode_kernels<float>() {
  return ANTIPHON_CHOSEN(float_decode_table);
}

template <>
const DecodeKernels<uint16_t>& decode_kernels<uint16_t>() {
  return ANTIPHON_CHOSEN(bfloat16_decode_table);
}

const ResampleKernels& resample_kernels() { return ANTIPHON_CHOSEN(resample_table); }

const MatmulKernel& matmul_kernel() { return ANTIPHON_CHOSEN(matmul_kernel); }

}  // namespace antiphon::kernels
