//! What there is to scan in one region of one account: the requests of discovery, as a trait that tests can stand in for.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types;
use scanner_policy::{Call, actions};

use super::ec2::{next_page, tags_of, volume_info};
use super::{Aws, AwsError, Tags, VolumeInfo};

/// What discovery needs of AWS. Every list is whole: an answer that has no end is an error.
pub trait Inventory: Send + Sync {
    /// Every instance, whatever its state.
    fn instances(&self) -> impl Future<Output = Result<Vec<Instance>, AwsError>> + Send;

    /// Every volume that is attached to something.
    fn attached_volumes(&self) -> impl Future<Output = Result<Vec<VolumeInfo>, AwsError>> + Send;

    /// Every image of the account's own.
    fn own_images(&self) -> impl Future<Output = Result<Vec<Image>, AwsError>> + Send;

    /// Those of these images that the account may use. The others no longer exist.
    fn images(&self, ids: &BTreeSet<String>) -> impl Future<Output = Result<Vec<Image>, AwsError>> + Send;

    /// Every function.
    fn functions(&self) -> impl Future<Output = Result<Vec<Function>, AwsError>> + Send;

    /// The tags of a function, by its ARN.
    fn function_tags(&self, arn: &str) -> impl Future<Output = Result<Tags, AwsError>> + Send;

    /// The versions that the aliases of a function point to.
    fn aliased_versions(&self, arn: &str) -> impl Future<Output = Result<BTreeSet<String>, AwsError>> + Send;
}

/// An instance in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its state in EC2's words, such as `running`.
    pub state: String,
    /// The image that it was started from.
    pub image: Option<String>,
    /// Whether EC2 knows it as one of Windows.
    pub is_windows: bool,
    /// The device name of its root volume, such as `/dev/xvda`.
    pub root_device: Option<String>,
    /// The ids of its EBS volumes, by device name.
    pub volumes: BTreeMap<String, String>,
    /// Its tags.
    pub tags: Tags,
}

/// An image in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its state in EC2's words, such as `available`.
    pub state: String,
    /// Whether EC2 knows it as one of Windows.
    pub is_windows: bool,
    /// The product codes by which its use is billed.
    pub product_codes: Vec<String>,
    /// Whether volumes are made of snapshots when it is started.
    pub has_snapshots: bool,
    /// Its tags; none if it is another account's.
    pub tags: Tags,
}

/// A function in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its ARN, without a version.
    pub arn: String,
    /// Its published versions. Each function has an unpublished one beside.
    pub published: BTreeSet<String>,
}

/// What its unpublished version is called.
pub const UNPUBLISHED: &str = "$LATEST";

/// The most of an answer of EC2's.
const PAGE: i32 = 1000;
/// The most of an answer of Lambda's.
const FUNCTIONS_PAGE: i32 = 50;
/// The most values of a filter ("Filtering using the API", limits).
const FILTER_VALUES: usize = 200;
/// Against answers without an end: far above what regions hold, and little enough to be held in memory.
const MAX_ENTRIES: usize = 200_000;
const MAX_PAGES: usize = 10_000;

impl Inventory for Aws {
    async fn instances(&self) -> Result<Vec<Instance>, AwsError> {
        let mut pages = Pages::new(actions::EC2_DESCRIBE_INSTANCES);
        while pages.wants_more()? {
            let page = pages.token.take();
            let request = self.ec2.describe_instances().max_results(PAGE).set_next_token(page);
            let answer = self.send(pages.call, || request.clone().send()).await?;
            let instances = answer.reservations().iter().flat_map(types::Reservation::instances);
            pages.add(instances.filter_map(instance), answer.next_token());
        }
        Ok(pages.entries)
    }

    async fn attached_volumes(&self) -> Result<Vec<VolumeInfo>, AwsError> {
        let attached = types::Filter::builder().name("status").values("in-use").build();
        let mut pages = Pages::new(actions::EC2_DESCRIBE_VOLUMES);
        while pages.wants_more()? {
            let page = pages.token.take();
            let request =
                self.ec2.describe_volumes().filters(attached.clone()).max_results(PAGE).set_next_token(page);
            let answer = self.send(pages.call, || request.clone().send()).await?;
            pages.add(answer.volumes().iter().filter_map(volume_info), answer.next_token());
        }
        Ok(pages.entries)
    }

    async fn own_images(&self) -> Result<Vec<Image>, AwsError> {
        let mut pages = Pages::new(actions::EC2_DESCRIBE_IMAGES);
        while pages.wants_more()? {
            let page = pages.token.take();
            let request = self.ec2.describe_images().owners("self").max_results(PAGE).set_next_token(page);
            let answer = self.send(pages.call, || request.clone().send()).await?;
            pages.add(answer.images().iter().filter_map(image), answer.next_token());
        }
        Ok(pages.entries)
    }

    async fn images(&self, ids: &BTreeSet<String>) -> Result<Vec<Image>, AwsError> {
        let ids: Vec<_> = ids.iter().cloned().collect();
        let mut images = Vec::new();
        for ids in ids.chunks(FILTER_VALUES) {
            // Asked for by their ids, one that no longer exists would be an error for all.
            let filter = types::Filter::builder().name("image-id").set_values(Some(ids.to_vec())).build();
            let mut pages = Pages::new(actions::EC2_DESCRIBE_IMAGES);
            while pages.wants_more()? {
                let page = pages.token.take();
                let request = self
                    .ec2
                    .describe_images()
                    .filters(filter.clone())
                    .include_deprecated(true)
                    .max_results(PAGE)
                    .set_next_token(page);
                let answer = self.send(pages.call, || request.clone().send()).await?;
                pages.add(answer.images().iter().filter_map(image), answer.next_token());
            }
            images.extend(pages.entries);
        }
        Ok(images)
    }

    async fn functions(&self) -> Result<Vec<Function>, AwsError> {
        let mut pages = Pages::new(actions::LAMBDA_LIST_FUNCTIONS);
        while pages.wants_more()? {
            let page = pages.token.take();
            let request = self
                .lambda
                .list_functions()
                .function_version(aws_sdk_lambda::types::FunctionVersion::All)
                .max_items(FUNCTIONS_PAGE)
                .set_marker(page);
            let answer = self.send(pages.call, || request.clone().send()).await?;
            // Replicas of Lambda@Edge are scanned where their originals are.
            let versions = answer.functions().iter().filter(|version| version.master_arn().is_none());
            let versions = versions.filter_map(|version| {
                let number = version.version().unwrap_or(UNPUBLISHED);
                let arn = version.function_arn()?;
                let arn = arn.strip_suffix(number).and_then(|arn| arn.strip_suffix(':')).unwrap_or(arn);
                Some((arn.to_owned(), number.to_owned()))
            });
            pages.add(versions, answer.next_marker());
        }
        let mut functions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (arn, version) in pages.entries {
            let published = functions.entry(arn).or_default();
            if version != UNPUBLISHED {
                published.insert(version);
            }
        }
        Ok(functions.into_iter().map(|(arn, published)| Function { arn, published }).collect())
    }

    async fn function_tags(&self, arn: &str) -> Result<Tags, AwsError> {
        let request = self.lambda.list_tags().resource(arn);
        let answer = self.send(actions::LAMBDA_LIST_TAGS, || request.clone().send()).await?;
        let tags = answer.tags().into_iter().flatten();
        Ok(tags.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    async fn aliased_versions(&self, arn: &str) -> Result<BTreeSet<String>, AwsError> {
        let mut pages = Pages::new(actions::LAMBDA_LIST_ALIASES);
        // By its name: it is one of this place, and the local AWS of the tests takes nothing else here.
        let name = arn.rsplit(':').next().unwrap_or(arn);
        while pages.wants_more()? {
            let page = pages.token.take();
            let request =
                self.lambda.list_aliases().function_name(name).max_items(FUNCTIONS_PAGE).set_marker(page);
            let answer = self.send(pages.call, || request.clone().send()).await?;
            let versions = answer.aliases().iter().flat_map(|alias| {
                // A second version may take a part of the requests.
                let weights = alias.routing_config().and_then(|routing| routing.additional_version_weights());
                let more = weights.into_iter().flat_map(|weights| weights.keys().map(String::as_str));
                alias.function_version().into_iter().chain(more).map(str::to_owned)
            });
            pages.add(versions, answer.next_marker());
        }
        Ok(pages.entries.into_iter().collect())
    }
}

fn instance(instance: &types::Instance) -> Option<Instance> {
    let state = instance.state().and_then(types::InstanceState::name);
    let volumes = instance.block_device_mappings().iter().filter_map(|mapping| {
        Some((mapping.device_name()?.to_owned(), mapping.ebs()?.volume_id()?.to_owned()))
    });
    Some(Instance {
        id: instance.instance_id()?.to_owned(),
        state: state.map_or("in an unknown state", types::InstanceStateName::as_str).to_owned(),
        image: instance.image_id().filter(|id| !id.is_empty()).map(str::to_owned),
        is_windows: is_windows(instance.platform()),
        root_device: instance.root_device_name().map(str::to_owned),
        volumes: volumes.collect(),
        tags: tags_of(instance.tags()),
    })
}

fn image(image: &types::Image) -> Option<Image> {
    let mut snapshots =
        image.block_device_mappings().iter().filter_map(|mapping| mapping.ebs()?.snapshot_id());
    let codes = image.product_codes().iter().filter_map(types::ProductCode::product_code_id);
    Some(Image {
        id: image.image_id()?.to_owned(),
        state: image.state().map_or("in an unknown state", types::ImageState::as_str).to_owned(),
        is_windows: is_windows(image.platform()),
        product_codes: codes.map(str::to_owned).collect(),
        has_snapshots: snapshots.next().is_some(),
        tags: tags_of(image.tags()),
    })
}

/// EC2 names the platform of Windows alone.
fn is_windows(platform: Option<&types::PlatformValues>) -> bool {
    platform.is_some_and(|platform| platform.as_str().eq_ignore_ascii_case("windows"))
}

/// The pages of one list, on their way into memory.
struct Pages<T> {
    call: Call,
    entries: Vec<T>,
    count: usize,
    /// The token of the next page. The first has none.
    token: Option<String>,
    is_whole: bool,
}

impl<T> Pages<T> {
    fn new(call: Call) -> Self {
        Self { call, entries: Vec::new(), count: 0, token: None, is_whole: false }
    }

    /// Whether there is another page, which may not be the one too many.
    fn wants_more(&mut self) -> Result<bool, AwsError> {
        if self.is_whole {
            return Ok(false);
        }
        if self.count >= MAX_PAGES || self.entries.len() > MAX_ENTRIES {
            let problem = format!("the list does not end after {} entries", self.entries.len());
            return Err(AwsError::Response { call: self.call.name(), problem });
        }
        self.count = self.count.saturating_add(1);
        Ok(true)
    }

    fn add(&mut self, entries: impl Iterator<Item = T>, token: Option<&str>) {
        self.entries.extend(entries);
        self.token = next_page(token);
        self.is_whole = self.token.is_none();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::aws;
    use super::*;

    fn xml(root: &str, content: &str) -> (u16, String) {
        (200, format!("<{root}><requestId>r</requestId>{content}</{root}>"))
    }

    #[tokio::test(start_paused = true)]
    async fn instances_come_from_all_pages() {
        let page = |id: &str, more: &str| {
            let mapping = "<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId></ebs>\
                           </item></blockDeviceMapping>";
            let instance = format!(
                "<instanceId>{id}</instanceId><imageId>ami-1</imageId><instanceState><code>16</code><name>running</name>\
                 </instanceState><platform>windows</platform><rootDeviceName>/dev/xvda</rootDeviceName>{mapping}\
                 <tagSet><item><key>env</key><value>prod</value></item></tagSet>"
            );
            let reservation = format!("<item><instancesSet><item>{instance}</item></instancesSet></item>");
            xml(
                "DescribeInstancesResponse",
                &format!("<reservationSet>{reservation}</reservationSet><nextToken>{more}</nextToken>"),
            )
        };
        let aws = aws([page("i-1", "more"), page("i-2", "")]).await;
        let instances = aws.instances().await.unwrap();
        let expected = |id: &str| Instance {
            id: id.to_owned(),
            state: "running".to_owned(),
            image: Some("ami-1".to_owned()),
            is_windows: true,
            root_device: Some("/dev/xvda".to_owned()),
            volumes: [("/dev/xvda".to_owned(), "vol-1".to_owned())].into(),
            tags: [("env".to_owned(), "prod".to_owned())].into(),
        };
        assert_eq!(instances, [expected("i-1"), expected("i-2")]);
        assert_eq!(aws.calls(), [("ec2:DescribeInstances".to_owned(), 2)].into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_without_an_end_is_an_error() {
        let mut pages = Pages::new(actions::EC2_DESCRIBE_IMAGES);
        let failed = loop {
            match pages.wants_more() {
                Ok(true) => pages.add([0_u8].into_iter(), Some("again")),
                Ok(false) => panic!("it ended"),
                Err(error) => break error,
            }
        };
        assert!(failed.to_string().contains("does not end"), "{failed}");
    }

    #[tokio::test(start_paused = true)]
    async fn images_tell_who_bills_them_and_whether_they_have_disks() {
        let image = "<item><imageId>ami-1</imageId><imageState>available</imageState><productCodes><item>\
                     <productCode>abc</productCode><type>marketplace</type></item></productCodes><blockDeviceMapping><item>\
                     <deviceName>/dev/sda</deviceName><ebs><snapshotId>snap-1</snapshotId></ebs></item></blockDeviceMapping>\
                     </item><item><imageId>ami-2</imageId><imageState>disabled</imageState></item>";
        let answer = || xml("DescribeImagesResponse", &format!("<imagesSet>{image}</imagesSet>"));
        let aws = aws([answer(), answer(), answer()]).await;
        let images = aws.own_images().await.unwrap();
        assert_eq!((images.len(), images[0].has_snapshots, images[1].has_snapshots), (2, true, false));
        assert_eq!(
            (images[0].product_codes.as_slice(), images[1].product_codes.len()),
            (&["abc".to_owned()][..], 0)
        );
        assert_eq!((images[0].state.as_str(), images[1].state.as_str()), ("available", "disabled"));
        // In two requests: a filter has at most 200 values.
        let ids = (0..=FILTER_VALUES).map(|id| format!("ami-{id}")).collect();
        assert_eq!(aws.images(&ids).await.unwrap().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn functions_have_the_versions_of_their_entries() {
        let arn = "arn:aws:lambda:eu-central-1:111122223333:function";
        let first = format!(
            r#"{{"NextMarker":"m","Functions":[
                {{"FunctionArn":"{arn}:orders:$LATEST","Version":"$LATEST"}},
                {{"FunctionArn":"{arn}:orders:7","Version":"7"}},
                {{"FunctionArn":"{arn}:edge:$LATEST","Version":"$LATEST","MasterArn":"{arn}:other"}}]}}"#
        );
        let second = format!(r#"{{"Functions":[{{"FunctionArn":"{arn}:bills","Version":"$LATEST"}}]}}"#);
        let tags = r#"{"Tags":{"env":"prod"}}"#.to_owned();
        let aliases =
            r#"{"Aliases":[{"FunctionVersion":"7","RoutingConfig":{"AdditionalVersionWeights":{"8":0.1}}},
            {"FunctionVersion":"$LATEST"}]}"#
                .to_owned();
        let aws = aws([(200, first), (200, second), (200, tags), (200, aliases)]).await;
        let functions = aws.functions().await.unwrap();
        let expected = |name: &str, published: &[&str]| Function {
            arn: format!("{arn}:{name}"),
            published: published.iter().map(|&version| version.to_owned()).collect(),
        };
        assert_eq!(functions, [expected("bills", &[]), expected("orders", &["7"])]);
        let orders = format!("{arn}:orders");
        assert_eq!(aws.function_tags(&orders).await.unwrap(), [("env".to_owned(), "prod".to_owned())].into());
        let versions = aws.aliased_versions(&orders).await.unwrap();
        assert_eq!(versions.iter().map(String::as_str).collect::<Vec<_>>(), ["$LATEST", "7", "8"]);
    }
}
