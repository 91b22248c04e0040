#include <antiphon/component/connector.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <map>

namespace antiphon {

at::Tensor Connector::arrange(const at::Tensor& features, const TokenGrid&) const { return features; }

std::vector<at::Tensor> Connector::arrange_all(const std::vector<at::Tensor>& parts,
                                               const std::vector<TokenGrid>& grids) const {
  std::map<std::pair<int64_t, int64_t>, std::vector<size_t>> groups;  // grid -> indices into `parts`
  for (size_t i = 0; i < parts.size(); ++i) groups[{grids[i].rows, grids[i].columns}].push_back(i);
  std::vector<at::Tensor> arranged(parts.size());
  for (const auto& [grid, members] : groups) {
    std::vector<at::Tensor> batch;
    for (const auto i : members) batch.push_back(parts[i]);
    const auto rows = arrange(at::stack(batch), {grid.first, grid.second}).unbind();
    if (rows.size() != members.size())
      fail(ErrorKind::plugin,
           fmt::format("the connector's arrange() got {} parts and gave {}", members.size(), rows.size()),
           "it must keep the first axis; run `antiphon conformance` on the plugin");
    for (size_t j = 0; j < members.size(); ++j) arranged[members[j]] = rows[j];
  }
  return arranged;
}

int64_t Connector::item_tokens(const std::vector<TokenGrid>& parts, const Tiling&) const {
  int64_t tokens = 0;
  for (const auto& grid : parts) tokens += grid.count();
  return tokens;
}

at::Tensor Connector::assemble(const std::vector<at::Tensor>& parts, const Tiling&) const {
  std::vector<at::Tensor> rows;
  for (const auto& part : parts) rows.push_back(part.flatten(0, 1));
  return rows.size() == 1 ? rows.front() : at::cat(rows);
}

at::Tensor Connector::forward(const at::Tensor& features, const TokenGrid& grid) {
  const auto arranged = arrange(features, grid);
  return project(arranged.reshape({-1, arranged.size(2)})).view({arranged.size(0), arranged.size(1), -1});
}

}  // namespace antiphon
