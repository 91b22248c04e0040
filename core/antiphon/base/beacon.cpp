#include <antiphon/base/beacon.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace antiphon::beacon {
namespace {

Page* page = nullptr;
std::atomic<int64_t> waited{0};  // nanoseconds

template <size_t Size>
void put(char (&place)[Size], std::string_view text) {
  const auto count = std::min(text.size(), Size - 1);
  std::copy_n(text.data(), count, place);
  place[count] = 0;
}

}  // namespace

void open_from_environment() {
  const char* value = std::getenv(kVariable);
  int file = -1;
  size_t index = 0;
  if (!value || std::sscanf(value, "%d:%zu", &file, &index) != 2) return;
  struct stat facts {};
  const size_t size = (index + 1) * sizeof(Page);
  if (fstat(file, &facts) != 0 || static_cast<size_t>(facts.st_size) < size) return;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory != MAP_FAILED) page = static_cast<Page*>(memory) + index;
  close(file);
  unsetenv(kVariable);
}

void doing(std::string_view what) {
  if (!page) return;
  put(page->doing, what);
  ++page->beats;
}

void step(int64_t number, std::string_view samples) {
  if (!page) return;
  page->step = number;
  put(page->samples, samples);
  ++page->beats;
}

Waiting::Waiting(std::string_view operation) {
  if (!page) return;
  put(page->operation, operation);
  ++page->waits, ++page->beats;
}

Waiting::~Waiting() {
  waited += std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin_).count();
  if (!page) return;
  --page->waits, ++page->beats;
}

double waited_seconds() { return std::chrono::duration<double>(std::chrono::nanoseconds(waited)).count(); }

Slow::Slow(std::string_view what) {
  doing(what);
  if (page) ++page->slow;
}

Slow::~Slow() {
  if (page) --page->slow, ++page->beats;
}

}  // namespace antiphon::beacon
