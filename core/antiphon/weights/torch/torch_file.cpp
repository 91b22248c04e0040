#include <antiphon/weights/torch/torch_file.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/weights/torch/pickle.h>
#include <antiphon/weights/torch/zip.h>

namespace antiphon::weights {
namespace {

constexpr uint64_t kMaxPickleBytes = 64 << 20;
constexpr size_t kMaxDimensions = 64;  // a list may be shared by many tensors, each of which copies it

const std::map<std::string_view, at::ScalarType> kStorages{
    {"FloatStorage", at::kFloat}, {"DoubleStorage", at::kDouble},     {"HalfStorage", at::kHalf},
    {"LongStorage", at::kLong},   {"BFloat16Storage", at::kBFloat16}, {"IntStorage", at::kInt},
    {"ShortStorage", at::kShort}, {"CharStorage", at::kChar},         {"ByteStorage", at::kByte},
    {"BoolStorage", at::kBool},   {"UntypedStorage", at::kByte},      {"ComplexFloatStorage", at::kComplexFloat}};
const std::map<std::string_view, at::ScalarType> kTypes{{"float8_e4m3fn", at::kFloat8_e4m3fn},
                                                        {"float8_e5m2", at::kFloat8_e5m2},
                                                        {"uint16", at::kUInt16},
                                                        {"uint32", at::kUInt32},
                                                        {"uint64", at::kUInt64}};

std::string_view last_word(std::string_view text) { return text.substr(text.rfind(' ') + 1); }

// Piece by piece: a tensor may be large.
void copy_bytes(const ByteSource& from, char* to) {
  constexpr uint64_t kPiece = 16 << 20;
  for (uint64_t at = 0; at < from.size; at += kPiece) {
    const auto piece = from.read(at, std::min(kPiece, from.size - at));
    std::memcpy(to + at, piece.data(), piece.size());
  }
}

class TorchFile {
 public:
  explicit TorchFile(const ByteSource& file) : file_(file), members_(zip_members(file)) {
    for (const auto& member : members_) {
      if (member.name != "data.pkl" && !member.name.ends_with("/data.pkl")) continue;
      if (pickle_) fail(ErrorKind::weights, fmt::format("{}: two members are called data.pkl", file_.name));
      pickle_ = &member;
    }
    if (!pickle_)
      fail(ErrorKind::weights,
           fmt::format("{}: no member is called data.pkl, so torch.save() has not written it", file_.name),
           "give a file of torch.save(), or safetensors");
    folder_ = pickle_->name.substr(0, pickle_->name.size() - std::string_view("data.pkl").size());
    for (const auto& member : members_) by_name_.emplace(member.name, &member);
    check_order();
  }

  LazyTensors tensors(std::vector<std::string>& warnings) const {
    if (pickle_->size > kMaxPickleBytes)
      fail(ErrorKind::weights,
           fmt::format("{}: a data.pkl of {} bytes, at most {} are read", file_.name, pickle_->size, kMaxPickleBytes));
    const auto bytes = file_.read(pickle_->begin, pickle_->size);
    const auto pickle = read_pickle(bytes, file_.name + ": data.pkl");
    const auto* dict = pickle.root;
    if (const auto* inner = dict->find("state_dict"); inner && inner->kind == PickleKind::dict) dict = inner;
    if (dict->kind != PickleKind::dict)
      fail(ErrorKind::weights, file_.name + ": what was saved is not a dict of tensors", "save model.state_dict()");
    return tensors_of(*dict, warnings);
  }

 private:
  void check_order() const {
    const auto order = by_name_.find(folder_ + "byteorder");
    if (order != by_name_.end() &&
        file_.read(order->second->begin, std::min<uint64_t>(order->second->size, 16)) != "little")
      fail(ErrorKind::weights, file_.name + ": its numbers are big-endian", "save it again on a little-endian machine");
  }

  LazyTensors tensors_of(const PickleNode& dict, std::vector<std::string>& warnings) const {
    LazyTensors tensors;
    std::set<std::string_view> seen;
    int64_t others = 0;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const auto &key = *dict.items[i], &value = *dict.items[i + 1];
      const auto* rebuilt = tensor_call(value);
      others += !rebuilt;
      if (!rebuilt) continue;
      if (key.kind != PickleKind::text || !seen.insert(key.text).second)
        fail(ErrorKind::weights,
             fmt::format("{}: a tensor without a name of its own ({})", file_.name, shown(key.text)));
      tensors.push_back(tensor_of(key.text, *rebuilt));
    }
    if (tensors.empty())
      fail(ErrorKind::weights, fmt::format("{}: none of {} entries is a tensor", file_.name, others),
           "save model.state_dict()");
    if (others > 0) warnings.push_back(fmt::format("{}: {} entries hold no tensor", file_.name, others));
    return tensors;
  }

  // The call that makes a tensor, which stands inside another one if it is a parameter; nullptr if it is not a tensor.
  const PickleNode* tensor_call(const PickleNode& value) const {
    const auto* node = &value;
    for (int depth = 0; depth < 2 && node->kind == PickleKind::call; ++depth) {
      const auto& callee = node->items[0]->text;
      if (callee == "torch._utils _rebuild_tensor_v2" || callee == "torch._utils _rebuild_tensor_v3") return node;
      if (callee != "torch._utils _rebuild_parameter" || node->items[1]->items.empty()) {
        if (callee.find("_rebuild_") == std::string::npos) return nullptr;
        fail(ErrorKind::weights, fmt::format("{}: a tensor made by {}, which is not read", file_.name, shown(callee)),
             "save plain tensors");
      }
      node = node->items[1]->items[0];
    }
    return nullptr;
  }

  [[noreturn]] void fail_tensor(const std::string& name, const std::string& what) const {
    fail(ErrorKind::weights, fmt::format("{}: tensor '{}' {}", file_.name, shown(name), what),
         "fetch the file again: it is damaged");
  }

  const PickleNode& argument(const std::string& name, const PickleNode& list, size_t index, PickleKind kind) const {
    if (list.items.size() <= index || list.items[index]->kind != kind)
      fail_tensor(name, "is not described as torch does");
    return *list.items[index];
  }

  std::vector<int64_t> numbers(const std::string& name, const PickleNode& list) const {
    if (list.items.size() > kMaxDimensions) fail_tensor(name, fmt::format("has {} dimensions", list.items.size()));
    std::vector<int64_t> values;
    for (size_t i = 0; i < list.items.size(); ++i) {
      values.push_back(argument(name, list, i, PickleKind::integer).integer);
      if (values.back() < 0) fail_tensor(name, "has a negative size or stride");
    }
    return values;
  }

  at::ScalarType type_of(const std::string& name, const PickleNode& storage, const PickleNode& arguments,
                         bool typed) const {
    const auto& known = typed ? kTypes : kStorages;
    const auto& told =
        typed ? argument(name, arguments, 6, PickleKind::global) : argument(name, storage, 1, PickleKind::global);
    const auto found = known.find(last_word(told.text));
    if (found == known.end()) fail_tensor(name, fmt::format("is of {}, which is not read", shown(told.text)));
    return found->second;
  }

  LazyTensor tensor_of(const std::string& name, const PickleNode& call) const {
    const auto& arguments = *call.items[1];
    const auto& known_by = argument(name, arguments, 0, PickleKind::persistent);
    const auto& storage = *known_by.items[0];
    const auto& key = argument(name, storage, 2, PickleKind::text).text;
    const auto type = type_of(name, storage, arguments, call.items[0]->text.ends_with("v3"));
    const auto offset = argument(name, arguments, 1, PickleKind::integer).integer;
    auto sizes = numbers(name, argument(name, arguments, 2, PickleKind::list));
    auto strides = numbers(name, argument(name, arguments, 3, PickleKind::list));
    if (offset < 0 || sizes.size() != strides.size()) fail_tensor(name, "has strides for other dimensions than sizes");
    const auto member = by_name_.find(folder_ + "data/" + key);
    if (member == by_name_.end()) fail_tensor(name, fmt::format("lies in data/{}, which is not there", shown(key)));
    const int64_t item = static_cast<int64_t>(c10::elementSize(type));
    const auto numbers_there = static_cast<int64_t>(member->second->size) / item;
    const int64_t span = span_of(name, sizes, strides);  // numbers from its first to its last
    if (offset > numbers_there || span > numbers_there - offset)
      fail_tensor(name,
                  fmt::format("takes {} numbers from number {} on of a storage of {}", span, offset, numbers_there));
    const auto bytes = file_.part(member->second->begin + static_cast<uint64_t>(offset * item),
                                  static_cast<uint64_t>(span * item), "data");
    return {name, type, sizes, [=] {
              auto flat = at::empty({span}, at::TensorOptions().dtype(type));
              copy_bytes(bytes, static_cast<char*>(flat.data_ptr()));
              return flat.as_strided(sizes, strides).contiguous();
            }};
  }

  int64_t span_of(const std::string& name, const std::vector<int64_t>& sizes,
                  const std::vector<int64_t>& strides) const {
    int64_t span = 1, count = 1;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] == 0) return 0;
      int64_t reach = 0;
      if (__builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) || __builtin_add_overflow(span, reach, &span) ||
          __builtin_mul_overflow(count, sizes[i], &count))
        fail_tensor(name, "is too large");
    }
    // Numbers that are repeated could make any amount of a small file.
    if (count > span) fail_tensor(name, "has the same number at several places");
    return span;
  }

  const ByteSource& file_;
  std::vector<ZipMember> members_;
  std::unordered_map<std::string, const ZipMember*> by_name_;
  const ZipMember* pickle_ = nullptr;
  std::string folder_;
};

}  // namespace

LazyTensors torch_tensors(const ByteSource& file, std::vector<std::string>& warnings) {
  if (file.read(0, std::min<uint64_t>(file.size, 2)) != "PK")
    fail(ErrorKind::weights,
         file.name + " is not a zip archive: torch.save() before 1.6 wrote bare Python pickles, which are not read",
         "convert it in Python: safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'model.safetensors')");
  return TorchFile(file).tensors(warnings);
}

}  // namespace antiphon::weights
