// Lets many threads in at once, or one alone, which need not wait for those that come after it.
#pragma once
#include <condition_variable>
#include <mutex>

namespace antiphon::parquet_table {

class ManyOrOne {
 public:
  class Many {
   public:
    explicit Many(ManyOrOne& door) : door_(door) { door_.enter(); }
    Many(const Many&) = delete;
    ~Many() { door_.leave(); }

   private:
    ManyOrOne& door_;
  };
  class One {
   public:
    explicit One(ManyOrOne& door) : door_(door) { door_.enter_alone(); }
    One(const One&) = delete;
    ~One() { door_.leave_alone(); }

   private:
    ManyOrOne& door_;
  };

 private:
  void enter() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !alone_; });
    ++inside_;
  }
  void leave() {
    const std::scoped_lock lock(mutex_);
    if (--inside_ == 0) changed_.notify_all();
  }
  void enter_alone() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !alone_; });
    alone_ = true;
    changed_.wait(lock, [this] { return inside_ == 0; });
  }
  void leave_alone() {
    const std::scoped_lock lock(mutex_);
    alone_ = false;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0;
  bool alone_ = false;
};

}  // namespace antiphon::parquet_table
