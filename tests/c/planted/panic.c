/* Run with a library built with the feature lab, in which each call panics as long as DIRKV_PLANTED_PANIC is set. */

#include "../check.h"

int main(void) {
    dirkv_backend *b = (dirkv_backend *)1;
    dirkv_list *list = (dirkv_list *)1;
    uint64_t number = 7;
    dirkv_params *params = dirkv_params_new();
    CHECK(params != NULL);
    CHECK(setenv("DIRKV_PLANTED_PANIC", "1", 1) == 0);
    CHECK(dirkv_open(params, &b, &err) == DIRKV_INTERNAL);
    CHECK(dirkv_params_new() == NULL);
    CHECK(strcmp(dirkv_name(), "dir") == 0);
    CHECK(dirkv_list_len(NULL) == 0);
    CHECK(dirkv_sync(b, NULL) == DIRKV_INTERNAL);
    CHECK(dirkv_get_keys(b, "", NULL, 0, &list, NULL) == DIRKV_INTERNAL);
    CHECK(dirkv_upsert_val(b, "b", "k", "v", 1, 0, &number, NULL) == DIRKV_INTERNAL);
    CHECK(unsetenv("DIRKV_PLANTED_PANIC") == 0);
    CHECK(dirkv_error_code(err) == DIRKV_INTERNAL);
    CHECK(strstr(dirkv_error_message(err), "planted by a test") != NULL);
    dirkv_error_free(err);
    dirkv_params_free(params);
    return finished();
}
