// For tests: two layers, of which a file holds q, k and v as one matrix.
#pragma once
#include <array>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>

namespace antiphon::weights {

inline constexpr std::array<const char*, 3> kNames{"q", "k", "v"};
inline constexpr std::array<int64_t, 3> kRows{4, 2, 2};

class Layers : public Module {
 public:
  Layers() {
    for (size_t layer = 0; layer < 2; ++layer) {
      for (size_t i = 0; i < 3; ++i)
        add(fmt::format("layers.{}.{}.weight", layer, kNames[i]), parts[layer][i], {kRows[i], 5}, Init::normal,
            Role::matrix);
      add(fmt::format("layers.{}.o.weight", layer), o[layer], {5, 4}, Init::normal, Role::matrix);
    }
    set_requires_grad(false);
  }
  at::Tensor parts[2][3], o[2];
};

inline const NameMap kStackedNames{
    {{"model.layers.{}.qkv.{}", "layers.{}.[q,k,v].{}"}, {"model.layers.{}.{}", "layers.{}.{}"}}, {}, {}};

}  // namespace antiphon::weights
