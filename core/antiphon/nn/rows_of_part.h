// Looking up rows of a table, such as embeddings, that processes divide.
#pragma once
#include <functional>

#include <antiphon/nn/token_slices.h>

namespace antiphon::nn {

// Rows of a table by ids of all its rows, of which this process has `own`: zeros for the others', which the sum over
// the processes has. `rows` looks up numbers among its own ones, from 0 on: [n] -> [n, width].
at::Tensor rows_of_part(const at::Tensor& ids_n, const Part& own,
                        const std::function<at::Tensor(const at::Tensor&)>& rows);

}  // namespace antiphon::nn
