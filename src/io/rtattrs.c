#include "rtattrs.h"

static int on_attribute(const struct nlattr *attr, void *ctx)
{
    struct plait_rtattrs *a = ctx;

    if (mnl_attr_get_type(attr) < sizeof a->at / sizeof a->at[0])
        a->at[mnl_attr_get_type(attr)] = attr;
    return MNL_CB_OK;
}

void plait_rtattrs_read(const struct nlmsghdr *message, unsigned offset, struct plait_rtattrs *out)
{
    *out = (struct plait_rtattrs){0};
    mnl_attr_parse(message, offset, on_attribute, out);
}

uint32_t plait_rtattrs_u32(const struct plait_rtattrs *a, unsigned type, uint32_t otherwise)
{
    if (a->at[type] == NULL || mnl_attr_validate(a->at[type], MNL_TYPE_U32) < 0)
        return otherwise;
    return mnl_attr_get_u32(a->at[type]);
}
