// The change of a stack as changes of its parts.
#pragma once
#include <antiphon/component/adapter_file.h>

namespace antiphon::lora {

// B A, of factors a [rank, in] and b [rows, rank]; DoRA's lengths [rows]. Undefined: the file has none.
struct StackedFactors {
  at::Tensor a, b, lengths;
};

// A part of a stack, and the rank of the adapter that is attached to it; 0: none is.
struct PartOfChange {
  std::string site;
  int64_t rows, rank;
};

// Why it is not such factors of these parts' rows; empty: it is.
std::string why_no_factors(const StackedFactors& change, const std::vector<PartOfChange>& parts);

// Of such factors. Adds those of each part with an adapter to `out`, under PEFT's keys: a block of B if the
// rank is the sum of the parts', else its rows of B, and all of A. Why that cannot be; empty: it is done.
std::string divide(const StackedFactors& change, const std::vector<PartOfChange>& parts,
                   decltype(AdapterFile::tensors)& out);

}  // namespace antiphon::lora
