#include <antiphon/parallel/agreed.h>

#include <ATen/ATen.h>

namespace antiphon::parallel {

int64_t largest(int64_t own, comm::Group* group) {
  if (!group) return own;
  const auto all = at::tensor({own}, at::kLong);
  group->largest(all);
  return all.item<int64_t>();
}

double sum(double own, comm::Group* group) {
  if (!group) return own;
  const auto all = at::tensor({own}, at::kDouble);
  group->sum(all);
  return all.item<double>();
}

std::vector<std::vector<int64_t>> gathered(const std::vector<int64_t>& own, comm::Group& group) {
  const auto mine = at::tensor(own, at::kLong);
  const auto all = at::empty({group.size(), mine.size(0)}, at::kLong);
  group.gather(mine, all);
  std::vector<std::vector<int64_t>> numbers;
  for (const auto& of_process : all.unbind()) {
    const auto* first = of_process.const_data_ptr<int64_t>();
    numbers.emplace_back(first, first + own.size());
  }
  return numbers;
}

std::string said_by(int rank, const std::string& own, comm::Group& group) {
  const auto length = at::tensor({static_cast<int64_t>(own.size())}, at::kLong);
  group.broadcast(length, rank);
  std::string text = own;
  text.resize(static_cast<size_t>(length.item<int64_t>()));
  if (!text.empty()) group.broadcast(at::from_blob(text.data(), {length.item<int64_t>()}, at::kByte), rank);
  return text;
}

}  // namespace antiphon::parallel
