// Any bytes as an archive, and as its pickle: rejected with antiphon::Error, or members that lie in the archive and
// nodes that can be walked through.
#include <antiphon/weights/torch/pickle.h>
#include <antiphon/weights/torch/zip.h>

#include <cstdlib>

#include <antiphon/base/error.h>

using namespace antiphon::weights;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

template <class Body>
void rejected_or(const Body& body) {
  try {
    body();
  } catch (const antiphon::Error& error) {
    require(error.kind() == antiphon::ErrorKind::weights);
  }
}

void check_pickle(std::string_view bytes) {
  rejected_or([&] {
    const auto pickle = read_pickle(bytes, "fuzz");
    require(pickle.root != nullptr && pickle.nodes.size() <= bytes.size());
    size_t texts = 0;
    for (const auto& node : pickle.nodes) {
      texts += node.text.size();
      require(node.kind != PickleKind::call || node.items.size() == 2);
      for (const auto* item : node.items) require(item != nullptr);
    }
    require(texts <= 1000 * bytes.size());
    pickle.root->find("state_dict");
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_pickle(bytes);
  const ByteSource archive{"fuzz", size,
                           [bytes](uint64_t begin, uint64_t count) { return std::string(bytes.substr(begin, count)); }};
  rejected_or([&] {
    for (const auto& member : zip_members(archive)) {
      require(member.begin <= size && member.size <= size - member.begin);
      if (member.name.ends_with("data.pkl")) check_pickle(bytes.substr(member.begin, member.size));
    }
  });
  return 0;
}
