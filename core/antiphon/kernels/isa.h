// Which of the kernels' variants this CPU runs.
#pragma once

namespace antiphon::kernels {

enum class Isa { baseline, avx2, avx512 };

Isa isa();

}  // namespace antiphon::kernels
