// dirkv for C++17: owners instead of free functions, exceptions instead of statuses, strings instead of pointers.
// Everything here is a thin dress over dirkv.h, which tells what the calls mean; copy it into your program and add what
// you need.

#ifndef DIRKV_HPP
#define DIRKV_HPP

#include <dirkv.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dirkv {

using std::chrono::nanoseconds;

constexpr nanoseconds forever{0};  // as a time to live
constexpr nanoseconds no_limit{-1};  // as the time to wait for a lock

// What a call answered when it wasn't DIRKV_OK.
class Error : public std::runtime_error {
public:
    Error(dirkv_status status, const std::string &message)
        : std::runtime_error(std::string(dirkv_status_name(status)) + ": " + message), status_(status) {}
    dirkv_status status() const noexcept { return status_; }

private:
    dirkv_status status_;
};

// Makes a call, with `err` as its last parameter, and throws what it says.
template <class F> void call(F &&f) {
    dirkv_error *err = nullptr;
    const dirkv_status status = f(&err);
    const std::unique_ptr<dirkv_error, decltype(&dirkv_error_free)> owner(err, dirkv_error_free);
    if (status != DIRKV_OK) {
        throw Error(status, dirkv_error_message(err));
    }
}

struct Put {
    std::string key, value;
    nanoseconds ttl = forever;
};

struct Entry {
    std::uint32_t kind;
    std::string name, value;
    std::int64_t expires;
    std::uint64_t revision;
};

struct Params {
    std::vector<std::pair<std::string, std::string>> values;
    dirkv_clock_fn clock = nullptr;
    void *clock_context = nullptr;
};

// An open store. Any number of threads may use it.
class Store {
public:
    explicit Store(const std::string &path) : Store(Params{{{"path", path}}}) {}

    explicit Store(const Params &params) {
        const std::unique_ptr<dirkv_params, decltype(&dirkv_params_free)> p(dirkv_params_new(), dirkv_params_free);
        for (const auto &[name, value] : params.values) {
            call([&, &name = name, &value = value](auto err) {
                return dirkv_params_set(p.get(), name.c_str(), value.c_str(), err);
            });
        }
        if (params.clock != nullptr) {
            call([&](auto err) { return dirkv_params_set_clock(p.get(), params.clock, params.clock_context, err); });
        }
        call([&](auto err) { return dirkv_open(p.get(), &b_, err); });
    }

    Store(const Store &) = delete;
    Store &operator=(const Store &) = delete;
    ~Store() { dirkv_close(b_, nullptr); }

    // After it, every call throws DIRKV_CLOSED; who waits for a lock is woken with it.
    void close() {
        call([&](auto err) { return dirkv_close(b_, err); });
    }

    std::uint64_t create(const std::string &bucket, const std::string &key, std::string_view value,
                         nanoseconds ttl = forever) {
        std::uint64_t revision;
        call([&](auto err) {
            return dirkv_create_val(b_, bucket.c_str(), key.c_str(), value.data(), value.size(), ttl.count(), &revision, err);
        });
        return revision;
    }

    std::uint64_t upsert(const std::string &bucket, const std::string &key, std::string_view value,
                         nanoseconds ttl = forever) {
        std::uint64_t revision;
        call([&](auto err) {
            return dirkv_upsert_val(b_, bucket.c_str(), key.c_str(), value.data(), value.size(), ttl.count(), &revision, err);
        });
        return revision;
    }

    std::uint64_t upsert(const std::string &bucket, const std::vector<Put> &puts) {
        std::vector<dirkv_item> items;
        for (const Put &put : puts) {
            items.push_back({put.key.c_str(), put.value.data(), put.value.size(), put.ttl.count()});
        }
        std::uint64_t revision;
        call([&](auto err) {
            return dirkv_upsert_items(b_, bucket.c_str(), items.data(), items.size(), sizeof(dirkv_item), &revision, err);
        });
        return revision;
    }

    std::uint64_t compare_and_swap(const std::string &bucket, const std::string &key, std::string_view value,
                                   std::string_view previous, nanoseconds ttl = forever) {
        std::uint64_t revision;
        call([&](auto err) {
            return dirkv_compare_and_swap_val(b_, bucket.c_str(), key.c_str(), value.data(), value.size(),
                                              previous.data(), previous.size(), ttl.count(), &revision, err);
        });
        return revision;
    }

    // Nothing if there is no such key: for a reader that is no surprise.
    std::optional<std::string> get(const std::string &bucket, const std::string &key) const {
        dirkv_buf buf{};
        try {
            call([&](auto err) { return dirkv_get_val(b_, bucket.c_str(), key.c_str(), &buf, err); });
        } catch (const Error &error) {
            if (error.status() == DIRKV_NOT_FOUND) {
                return std::nullopt;
            }
            throw;
        }
        const std::unique_ptr<dirkv_buf, decltype(&dirkv_buf_free)> owner(&buf, dirkv_buf_free);
        return std::string(reinterpret_cast<const char *>(buf.data), buf.len);
    }

    std::vector<Entry> keys(const std::string &bucket, const char *after = nullptr, std::uint64_t limit = 0) const {
        dirkv_list *list = nullptr;
        call([&](auto err) { return dirkv_get_keys(b_, bucket.c_str(), after, limit, &list, err); });
        return entries(list);
    }

    std::vector<Entry> items(const std::string &bucket, std::uint32_t flags = 0, const char *after = nullptr,
                             std::uint64_t limit = 0) const {
        dirkv_list *list = nullptr;
        call([&](auto err) { return dirkv_get_items(b_, bucket.c_str(), after, limit, flags, &list, err); });
        return entries(list);
    }

    void remove(const std::string &bucket, const std::string &key) {
        call([&](auto err) { return dirkv_delete_key(b_, bucket.c_str(), key.c_str(), err); });
    }

    // The handle as C has it, for the calls that have no method here.
    dirkv_backend *get() const noexcept { return b_; }

private:
    static std::vector<Entry> entries(dirkv_list *list) {
        const std::unique_ptr<dirkv_list, decltype(&dirkv_list_free)> owner(list, dirkv_list_free);
        std::vector<Entry> found;
        for (std::size_t i = 0; i < dirkv_list_len(list); i++) {
            dirkv_entry e{};
            call([&](auto err) { return dirkv_list_get(list, i, &e, sizeof e, err); });
            found.push_back({e.kind, {e.name, e.name_len}, {reinterpret_cast<const char *>(e.val), e.len}, e.expires,
                             e.revision});
        }
        return found;
    }

    dirkv_backend *b_ = nullptr;
};

// A lock, held from here to the end of the scope.
class Lock {
public:
    Lock(const Store &store, std::string token, nanoseconds ttl, nanoseconds wait = no_limit)
        : b_(store.get()), token_(std::move(token)) {
        call([&](auto err) { return dirkv_acquire_lock(b_, token_.c_str(), ttl.count(), wait.count(), &fence_, err); });
    }

    Lock(const Lock &) = delete;
    Lock &operator=(const Lock &) = delete;
    ~Lock() {
        // What can't be released ends by itself, after its ttl.
        if (fence_ != 0) {
            dirkv_release_lock(b_, token_.c_str(), fence_, nullptr);
        }
    }

    // Throws if the lease had expired meanwhile, which a destructor can't tell.
    void release() {
        const std::uint64_t fence = std::exchange(fence_, 0);
        call([&](auto err) { return dirkv_release_lock(b_, token_.c_str(), fence, err); });
    }

    std::uint64_t fence() const noexcept { return fence_; }

private:
    dirkv_backend *b_;
    std::string token_;
    std::uint64_t fence_ = 0;
};

}  // namespace dirkv

#endif
