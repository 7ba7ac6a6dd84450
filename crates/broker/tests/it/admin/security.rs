use lastword_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use lastword_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use lastword_protocol::messages::create_acls_request::AclCreation;
use lastword_protocol::messages::delete_acls_request::DeleteAclsFilter;
use lastword_protocol::messages::describe_client_quotas_request::ComponentData;
use lastword_protocol::messages::describe_user_scram_credentials_request::UserName;
use lastword_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest,
    CreateDelegationTokenRequest, DeleteAclsRequest, DescribeAclsRequest,
    DescribeClientQuotasRequest, DescribeDelegationTokenRequest,
    DescribeUserScramCredentialsRequest, ExpireDelegationTokenRequest, RenewDelegationTokenRequest,
};
use lastword_protocol::{ErrorCode, StrBytes, message};

use crate::client::{Client, TestBroker};

#[tokio::test]
async fn without_an_authorizer_every_acl_and_every_filter_is_security_disabled() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let disabled = ErrorCode::SecurityDisabled.code();
    for version in 1..=3 {
        let all = client.call(&DescribeAclsRequest::default(), version).await;
        assert_eq!(all.error_code, disabled);
        let creations = vec![AclCreation::default(); 2];
        let created = client
            .call(&message!(CreateAclsRequest { creations }), version)
            .await;
        assert_eq!(created.results.len(), 2);
        assert!(created.results.iter().all(|it| it.error_code == disabled));
        let filters = vec![DeleteAclsFilter::default(); 3];
        let deleted = client
            .call(&message!(DeleteAclsRequest { filters }), version)
            .await;
        assert_eq!(deleted.filter_results.len(), 3);
        let mut results = deleted.filter_results.iter();
        assert!(results.all(|it| it.error_code == disabled));
    }
}

#[tokio::test]
async fn there_are_no_scram_users_and_none_can_be_made() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let all = message!(DescribeUserScramCredentialsRequest { users: None });
    let all = client.call(&all, 0).await;
    assert_eq!((all.error_code, all.results.len()), (0, 0));
    let user = |name: &str| message!(UserName { name: name.into() });
    let named = message!(DescribeUserScramCredentialsRequest {
        users: Some(vec![user("alice"), user("bob"), user("bob")]),
    });
    let named = client.call(&named, 0).await.results;
    let named: Vec<_> = named
        .iter()
        .map(|it| (it.user.as_str(), it.error_code))
        .collect();
    let (missing, twice) = (ErrorCode::ResourceNotFound, ErrorCode::DuplicateResource);
    assert_eq!(
        named,
        [("alice", missing.code()), ("bob", twice.code())],
        "one that is missing, one that is named twice"
    );

    let upsertion = |name: &str, mechanism: i8, iterations: i32| {
        message!(ScramCredentialUpsertion {
            name: name.into(),
            mechanism,
            iterations
        })
    };
    let request = message!(AlterUserScramCredentialsRequest {
        deletions: vec![message!(ScramCredentialDeletion {
            name: "gone".into(),
            mechanism: 1
        })],
        upsertions: vec![
            upsertion("", 1, 8192),
            upsertion("few", 1, 100),
            upsertion("many", 2, 1 << 20),
            upsertion("odd", 7, 8192),
            upsertion("right", 2, 8192),
            upsertion("twice", 1, 8192),
            upsertion("twice", 2, 8192),
        ],
    });
    let results = client.call(&request, 0).await.results;
    let found: Vec<_> = results
        .iter()
        .map(|it| (it.user.as_str(), it.error_code))
        .collect();
    let expected = [
        ("", ErrorCode::UnacceptableCredential),
        ("few", ErrorCode::UnacceptableCredential),
        ("gone", ErrorCode::ResourceNotFound),
        ("many", ErrorCode::UnacceptableCredential),
        ("odd", ErrorCode::UnsupportedSaslMechanism),
        ("right", ErrorCode::UnsupportedVersion),
        ("twice", ErrorCode::DuplicateResource),
    ];
    assert_eq!(found, expected.map(|(user, code)| (user, code.code())));
}

async fn quota(client: &mut Client, entity: &[(&str, Option<&str>)], ops: &[(&str, f64)]) -> i16 {
    let entity = entity.iter().map(|&(kind, name)| {
        message!(EntityData {
            entity_type: kind.into(),
            entity_name: name.map(StrBytes::from),
        })
    });
    let ops = ops.iter().map(|&(key, value)| {
        message!(OpData {
            key: key.into(),
            value,
            remove: value < 0.0
        })
    });
    let request = message!(AlterClientQuotasRequest {
        entries: vec![message!(EntryData {
            entity: entity.collect(),
            ops: ops.collect(),
        })],
    });
    let response = client.call(&request, 1).await;
    assert_eq!(response.entries.len(), 1);
    response.entries[0].error_code
}

#[tokio::test]
async fn a_quota_that_would_not_be_enforced_is_refused_and_a_wrong_one_as_kafka_does() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let unsupported = ErrorCode::UnsupportedVersion.code();
    let invalid = ErrorCode::InvalidRequest.code();
    let user = [("user", Some("alice"))];
    let rate = "producer_byte_rate";
    assert_eq!(quota(&mut client, &user, &[(rate, 1e6)]).await, unsupported);
    let default = [("client-id", None)];
    assert_eq!(
        quota(&mut client, &default, &[("request_percentage", 0.5)]).await,
        unsupported
    );
    let address = [("ip", Some("127.0.0.1"))];
    assert_eq!(
        quota(&mut client, &address, &[("connection_creation_rate", 5.0)]).await,
        unsupported
    );
    // There is nothing to remove.
    assert_eq!(quota(&mut client, &user, &[(rate, -1.0)]).await, 0);
    for (entity, ops) in [
        (&[][..], &[(rate, 1.0)][..]),
        (&[("planet", Some("x"))], &[(rate, 1.0)]),
        (&[("user", Some(""))], &[(rate, 1.0)]),
        (&[("user", None), ("ip", None)], &[(rate, 1.0)]),
        (
            &[("ip", Some("nowhere"))],
            &[("connection_creation_rate", 1.0)],
        ),
        (&user, &[("beauty", 1.0)]),
        (&user, &[("connection_creation_rate", 1.0)]),
        (&user, &[(rate, 0.0)]),
        (&user, &[(rate, 0.5)]),
        (&user, &[(rate, f64::NAN)]),
        (&user, &[(rate, 1.0), (rate, 2.0)]),
    ] {
        let code = quota(&mut client, entity, ops).await;
        assert_eq!(code, invalid, "{entity:?} {ops:?}");
    }
}

#[tokio::test]
async fn nobody_has_a_quota_and_a_filter_that_makes_no_sense_is_refused() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let component = |kind: &str, match_type: i8, name: Option<&str>| {
        message!(ComponentData {
            entity_type: kind.into(),
            match_type,
            match_: name.map(StrBytes::from),
        })
    };
    for version in 0..=1 {
        let request = message!(DescribeClientQuotasRequest {
            components: vec![component("user", 0, Some("alice"))],
            strict: true,
        });
        let response = client.call(&request, version).await;
        assert_eq!(
            (response.error_code, response.entries),
            (0, Some(Vec::new()))
        );
    }
    let unsupported = ErrorCode::UnsupportedVersion.code();
    let invalid = ErrorCode::InvalidRequest.code();
    for (components, code) in [
        (vec![component("planet", 2, None)], unsupported),
        (vec![component("", 2, None)], invalid),
        (vec![component("user", 7, None)], invalid),
        (vec![component("user", 0, None)], invalid),
        (vec![component("user", 1, Some("alice"))], invalid),
        (
            vec![component("user", 2, None), component("ip", 2, None)],
            invalid,
        ),
        (
            vec![component("user", 2, None), component("user", 1, None)],
            invalid,
        ),
    ] {
        let request = message!(DescribeClientQuotasRequest { components });
        let response = client.call(&request, 1).await;
        assert_eq!((response.error_code, response.entries), (code, None));
    }
}

#[tokio::test]
async fn a_delegation_token_needs_an_authenticated_user() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let refused = ErrorCode::DelegationTokenRequestNotAllowed.code();
    for version in 1..=3 {
        let request = CreateDelegationTokenRequest::default();
        let created = client.call(&request, version).await;
        assert_eq!(
            (created.error_code, created.max_timestamp_ms),
            (refused, -1)
        );
        let request = DescribeDelegationTokenRequest::default();
        let described = client.call(&request, version).await;
        assert_eq!(described.error_code, refused);
    }
    for version in 1..=2 {
        let request = RenewDelegationTokenRequest::default();
        assert_eq!(client.call(&request, version).await.error_code, refused);
        let request = ExpireDelegationTokenRequest::default();
        assert_eq!(client.call(&request, version).await.error_code, refused);
    }
}
