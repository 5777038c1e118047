// Calls, in their order, that Terraform's AWS provider makes for a configuration of one aws_iam_user, its
// aws_iam_access_key and the data source aws_caller_identity, by the SDK that it makes them with. What it
// reads of an answer is checked to be there.
//
// Source: internal/service/iam/user.go and access_key.go of the provider.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// What the provider keeps of the user between its runs.
type user struct {
	name, path, arn, id string
	tags                map[string]string
}

type provider struct {
	iam     *iam.Client
	sts     *sts.Client
	account string
}

func main() {
	p := start()
	bob := p.createUser("bob", "/engineering/", map[string]string{"team": "storage", "env": "test"})
	key := p.createAccessKey(bob.name)
	p.refresh(bob, key, types.StatusTypeActive)

	// A plan that changes name and path, and what of tags.
	p.updateUser(&bob, "robert", "/operations/")
	p.updateTags(&bob, map[string]string{"team": "platform", "cost": ""})
	p.refresh(bob, key, types.StatusTypeActive)
	p.setStatus(bob.name, key, types.StatusTypeInactive)
	p.refresh(bob, key, types.StatusTypeInactive)

	// `terraform import` finds whose a key is by when it was used.
	used := must(p.iam.GetAccessKeyLastUsed(ctx(), &iam.GetAccessKeyLastUsedInput{AccessKeyId: &key}))
	equal("the user of the key", aws.ToString(used.UserName), bob.name)

	// Without force_destroy, a key that Terraform does not know stands in the way.
	p.createAccessKey(bob.name)
	p.deleteAccessKey(bob.name, key)
	var conflict *types.DeleteConflictException
	p.leaveGroups(bob.name)
	if _, err := p.deleteUser(bob.name); !errors.As(err, &conflict) {
		fail("deleting a user with a key: %v", err)
	}
	p.forceDestroy(bob.name)
	_, err := p.deleteUser(bob.name)
	check(err)

	// It is seen to be gone: the provider takes it out of its state.
	var gone *types.NoSuchEntityException
	if _, err := p.iam.GetUser(ctx(), &iam.GetUserInput{UserName: &bob.name}); !errors.As(err, &gone) {
		fail("reading a user that is gone: %v", err)
	}
	if _, err := p.deleteUser(bob.name); !errors.As(err, &gone) {
		fail("deleting a user that is gone: %v", err)
	}
	fmt.Println("all as it should be")
}

// The provider begins by asking who it is, in all ways that it knows.
func start() provider {
	config := aws.Config{
		Region:       os.Getenv("AWS_DEFAULT_REGION"),
		BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	}
	p := provider{iam: iam.NewFromConfig(config), sts: sts.NewFromConfig(config)}
	caller := must(p.sts.GetCallerIdentity(ctx(), &sts.GetCallerIdentityInput{}))
	p.account = aws.ToString(caller.Account)
	equal("the caller", aws.ToString(caller.Arn), "arn:aws:iam::"+p.account+":root")
	if aws.ToString(caller.UserId) == "" {
		fail("aws_caller_identity has no user_id")
	}
	own := must(p.iam.GetUser(ctx(), &iam.GetUserInput{}))
	equal("the caller by IAM", aws.ToString(own.User.Arn), aws.ToString(caller.Arn))
	must(p.iam.ListRoles(ctx(), &iam.ListRolesInput{MaxItems: aws.Int32(1)}))
	aliases := must(p.iam.ListAccountAliases(ctx(), &iam.ListAccountAliasesInput{}))
	equal("aliases of the account", len(aliases.AccountAliases), 0)
	return p
}

func (p provider) createUser(name, path string, tags map[string]string) user {
	made := must(p.iam.CreateUser(ctx(), &iam.CreateUserInput{UserName: &name, Path: &path, Tags: tagsOf(tags)}))
	arn := "arn:aws:iam::" + p.account + ":user" + path + name
	equal("the ARN of a new user", aws.ToString(made.User.Arn), arn)
	// No waiting: what was made is there to be read.
	u := user{name, path, arn, aws.ToString(made.User.UserId), tags}
	p.readUser(u)
	return u
}

func (p provider) readUser(u user) {
	found := must(p.iam.GetUser(ctx(), &iam.GetUserInput{UserName: &u.name})).User
	equal("user_name", aws.ToString(found.UserName), u.name)
	equal("path", aws.ToString(found.Path), u.path)
	equal("arn", aws.ToString(found.Arn), u.arn)
	equal("unique_id", aws.ToString(found.UserId), u.id)
	equal("permissions_boundary", found.PermissionsBoundary == nil, true)
	equal("tags", fmt.Sprint(tagMap(found.Tags)), fmt.Sprint(u.tags))
	pages := iam.NewListUserTagsPaginator(p.iam, &iam.ListUserTagsInput{UserName: &u.name, MaxItems: aws.Int32(1)})
	var listed []types.Tag
	for pages.HasMorePages() {
		listed = append(listed, must(pages.NextPage(ctx())).Tags...)
	}
	equal("listed tags", fmt.Sprint(tagMap(listed)), fmt.Sprint(u.tags))
}

func (p provider) updateUser(u *user, name, path string) {
	must(p.iam.UpdateUser(ctx(), &iam.UpdateUserInput{UserName: &u.name, NewUserName: &name, NewPath: &path}))
	u.name, u.path, u.arn = name, path, "arn:aws:iam::"+p.account+":user"+path+name
	p.readUser(*u)
}

// What is not wanted any more is taken away first, then what is new or other is set.
func (p provider) updateTags(u *user, tags map[string]string) {
	var removed []string
	for key := range u.tags {
		if _, kept := tags[key]; !kept {
			removed = append(removed, key)
		}
	}
	must(p.iam.UntagUser(ctx(), &iam.UntagUserInput{UserName: &u.name, TagKeys: removed}))
	must(p.iam.TagUser(ctx(), &iam.TagUserInput{UserName: &u.name, Tags: tagsOf(tags)}))
	u.tags = tags
	p.readUser(*u)
}

func (p provider) createAccessKey(name string) string {
	made := must(p.iam.CreateAccessKey(ctx(), &iam.CreateAccessKeyInput{UserName: &name})).AccessKey
	equal("the owner of a new key", aws.ToString(made.UserName), name)
	equal("the length of a secret", len(aws.ToString(made.SecretAccessKey)), 40)
	if made.CreateDate == nil {
		fail("a new key has no create_date")
	}
	p.readAccessKey(name, aws.ToString(made.AccessKeyId), types.StatusTypeActive)
	return aws.ToString(made.AccessKeyId)
}

func (p provider) accessKeys(name string) (keys []types.AccessKeyMetadata) {
	pages := iam.NewListAccessKeysPaginator(p.iam, &iam.ListAccessKeysInput{UserName: &name})
	for pages.HasMorePages() {
		keys = append(keys, must(pages.NextPage(ctx())).AccessKeyMetadata...)
	}
	return keys
}

func (p provider) readAccessKey(name, id string, status types.StatusType) {
	keys := p.accessKeys(name)
	at := slices.IndexFunc(keys, func(key types.AccessKeyMetadata) bool { return aws.ToString(key.AccessKeyId) == id })
	if at < 0 {
		fail("the key is not among those of %s", name)
	}
	equal("status", keys[at].Status, status)
	equal("user", aws.ToString(keys[at].UserName), name)
	if keys[at].CreateDate == nil {
		fail("a key has no create_date")
	}
}

func (p provider) setStatus(name, id string, status types.StatusType) {
	input := iam.UpdateAccessKeyInput{UserName: &name, AccessKeyId: &id, Status: status}
	must(p.iam.UpdateAccessKey(ctx(), &input))
}

func (p provider) deleteAccessKey(name, id string) {
	must(p.iam.DeleteAccessKey(ctx(), &iam.DeleteAccessKeyInput{UserName: &name, AccessKeyId: &id}))
}

func (p provider) refresh(u user, key string, status types.StatusType) {
	must(p.sts.GetCallerIdentity(ctx(), &sts.GetCallerIdentityInput{}))
	p.readUser(u)
	p.readAccessKey(u.name, key, status)
}

func (p provider) leaveGroups(name string) {
	groups := must(p.iam.ListGroupsForUser(ctx(), &iam.ListGroupsForUserInput{UserName: &name}))
	equal("groups", len(groups.Groups), 0)
}

// All that may keep a user from being deleted: there are keys, and none of the rest.
func (p provider) forceDestroy(name string) {
	p.leaveGroups(name)
	policies := must(p.iam.ListUserPolicies(ctx(), &iam.ListUserPoliciesInput{UserName: &name}))
	attached := must(p.iam.ListAttachedUserPolicies(ctx(), &iam.ListAttachedUserPoliciesInput{UserName: &name}))
	equal("policies", len(policies.PolicyNames)+len(attached.AttachedPolicies), 0)
	for _, key := range p.accessKeys(name) {
		p.deleteAccessKey(name, aws.ToString(key.AccessKeyId))
	}
	sshKeys := must(p.iam.ListSSHPublicKeys(ctx(), &iam.ListSSHPublicKeysInput{UserName: &name}))
	equal("SSH keys", len(sshKeys.SSHPublicKeys), 0)
	virtual := must(p.iam.ListVirtualMFADevices(ctx(),
		&iam.ListVirtualMFADevicesInput{AssignmentStatus: types.AssignmentStatusTypeAssigned}))
	devices := must(p.iam.ListMFADevices(ctx(), &iam.ListMFADevicesInput{UserName: &name}))
	equal("MFA devices", len(virtual.VirtualMFADevices)+len(devices.MFADevices), 0)
	var none *types.NoSuchEntityException
	if _, err := p.iam.DeleteLoginProfile(ctx(), &iam.DeleteLoginProfileInput{UserName: &name}); !errors.As(err, &none) {
		fail("deleting the login profile: %v", err)
	}
	certificates := must(p.iam.ListSigningCertificates(ctx(), &iam.ListSigningCertificatesInput{UserName: &name}))
	equal("certificates", len(certificates.Certificates), 0)
	specific := must(p.iam.ListServiceSpecificCredentials(ctx(),
		&iam.ListServiceSpecificCredentialsInput{UserName: &name}))
	equal("service specific credentials", len(specific.ServiceSpecificCredentials), 0)
}

func (p provider) deleteUser(name string) (*iam.DeleteUserOutput, error) {
	return p.iam.DeleteUser(ctx(), &iam.DeleteUserInput{UserName: &name})
}

func tagsOf(tags map[string]string) (list []types.Tag) {
	for key, value := range tags {
		list = append(list, types.Tag{Key: &key, Value: &value})
	}
	return list
}

func tagMap(list []types.Tag) map[string]string {
	tags := map[string]string{}
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}

func ctx() context.Context { return context.Background() }

func must[T any](answer T, err error) T {
	check(err)
	return answer
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func equal[T comparable](what string, found, expected T) {
	if found != expected {
		fail("%s: %v, not %v", what, found, expected)
	}
}

func fail(format string, args ...any) {
	panic(strings.TrimSpace(fmt.Sprintf(format, args...)))
}
