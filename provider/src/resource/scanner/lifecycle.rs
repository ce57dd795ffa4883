//! How instances come, go and are replaced: the arguments `launch_hook`, `termination_hook` and `instance_refresh`.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::{Hardening, Model};
use super::user_data::Lifecycle;
use crate::aws::{self, NewRefresh, TemplateRef};
use crate::model;
use crate::sdk::{Attribute, Raw, Type, Value, validator};

model! {
    /// Where instances wait.
    pub struct Hook {
        /// Whether they do.
        pub enabled: Value<bool>,
        /// For how many seconds.
        pub heartbeat_timeout: Value<i32>,
        /// What becomes of an instance that nobody speaks for in time.
        pub default_result: Value<String>,
    }

    /// How instances are replaced after a change.
    pub struct InstanceRefresh {
        /// Whether a failure puts everything back.
        pub auto_rollback: Value<bool>,
        /// In seconds.
        pub bake_time: Value<i32>,
        /// Names of alarms.
        pub alarms: Value<BTreeSet<String>>,
        /// In seconds.
        pub instance_warmup: Value<i32>,
        /// Whether instances stay that already are as they should be.
        pub skip_matching: Value<bool>,
        /// Whether apply waits for the end.
        pub wait: Value<bool>,
    }
}

/// One of our hooks: its name, what it is about, and its defaults.
struct HookKind {
    name: &'static str,
    transition: &'static str,
    heartbeat_timeout: i32,
    default_result: &'static str,
}

/// The scanner says that it is ready once it has its configuration, its credentials and its sandbox, which takes seconds;
/// ten minutes leave time for an image that boots slowly.
const LAUNCH_HOOK: HookKind = HookKind {
    name: "agentless-scanner-launch",
    transition: "autoscaling:EC2_INSTANCE_LAUNCHING",
    heartbeat_timeout: 600,
    default_result: "ABANDON",
};
/// Most scans take minutes; for longer ones, the scanner asks for more time while they go on.
const TERMINATION_HOOK: HookKind = HookKind {
    name: "agentless-scanner-termination",
    transition: "autoscaling:EC2_INSTANCE_TERMINATING",
    heartbeat_timeout: 1_800,
    default_result: "CONTINUE",
};

/// Default of `bake_time`, in seconds.
const BAKE_TIME: i32 = 300;

pub(super) fn attributes() -> [Attribute; 3] {
    [
        hook(
            "launch_hook",
            &LAUNCH_HOOK,
            "Lets a new instance wait until the scanner on it has reported that it works, and only then count as being \
             in service: the lifecycle hook `agentless-scanner-launch`, which the scanner completes. The role must name the \
             group in `scaling_group_names`, or no instance is ever admitted. Hooks of other names are left alone.",
            "Whether instances wait. `false` is for images on which no scanner starts by itself.",
            "What becomes of an instance that has not reported in time. `ABANDON`: it is terminated, and another one is \
             launched.",
        ),
        hook(
            "termination_hook",
            &TERMINATION_HOOK,
            "Lets an instance that is to go finish or hand back the scans under way, send what it has and delete its \
             snapshots: the lifecycle hook `agentless-scanner-termination`, which the scanner completes. The role must name \
             the group in `scaling_group_names`, or every instance runs on until the timeout.",
            "Whether instances wait. Without, what they were scanning is scanned again by those that follow.",
            "What follows when the instance has not reported in time. It is terminated either way; `ABANDON` also skips \
             other hooks.",
        ),
        instance_refresh(),
    ]
}

fn hook(
    name: &'static str,
    kind: &HookKind,
    description: &str,
    choice: &str,
    consequence: &str,
) -> Attribute {
    let attributes = [
        Attribute::bool("enabled", choice).default(true),
        Attribute::int(
            "heartbeat_timeout",
            "For how many seconds an instance waits without a sign of the scanner.",
        )
        .default(i64::from(kind.heartbeat_timeout))
        .validate(validator::range(30..=7_200)),
        Attribute::string("default_result", consequence)
            .default(kind.default_result)
            .validate(validator::one_of(["ABANDON", "CONTINUE"])),
    ];
    Attribute::nested(name, description, attributes).default(Raw::Map(BTreeMap::default()))
}

fn instance_refresh() -> Attribute {
    let attributes = [
        Attribute::bool(
            "auto_rollback",
            "Whether a failed refresh, or one during which an alarm goes off, puts everything back as it was. Default: \
             `true` with `image_id`. Not possible with `image_parameter`: EC2 Auto Scaling could not know which image to \
             go back to.",
        )
        .optional()
        .computed()
        .keeps_state(),
        Attribute::int(
            "bake_time",
            "For how many seconds the refresh watches the new instances before it has succeeded. Apply waits for it.",
        )
        .default(i64::from(BAKE_TIME))
        .validate(validator::range(0..=172_800)),
        Attribute::set("alarms", Type::String, "The names of CloudWatch alarms; when one goes off, the refresh fails.")
            .optional()
            .validate(validator::items(1..=10))
            .validate(validator::each(validator::length(1..=255))),
        Attribute::int(
            "instance_warmup",
            "For how many seconds a new instance is not of use yet. Default: `default_instance_warmup`.",
        )
        .optional()
        .validate(validator::range(0..=3_600)),
        Attribute::bool("skip_matching", "Whether instances stay that already are as they should be.").default(true),
        Attribute::bool(
            "wait",
            "Whether apply waits until the refresh has ended, within `timeouts.update`, and fails when it fails. Without \
             waiting, the next plan shows what came of it.",
        )
        .default(true),
    ];
    Attribute::nested(
        "instance_refresh",
        "How instances are replaced when a change concerns what they are launched with. New ones are in service before \
         old ones end. A refresh that is still under way then is cancelled first.",
        attributes,
    )
    .default(Raw::Map(BTreeMap::default()))
}

impl InstanceRefresh {
    /// What an unset argument means, for a scanner whose image is given by a parameter or not.
    pub(super) fn default_for(by_parameter: bool) -> Self {
        Self {
            auto_rollback: (!by_parameter).into(),
            bake_time: BAKE_TIME.into(),
            alarms: Value::Null,
            instance_warmup: Value::Null,
            skip_matching: true.into(),
            wait: true.into(),
        }
    }
}

impl HookKind {
    /// The name of the hook, if the group is to have it.
    fn name_if(&self, hook: &Value<Hook>) -> Option<&'static str> {
        hook.get().is_some_and(Hook::is_enabled).then_some(self.name)
    }
}

impl Hook {
    /// In states that are older than the choice, a hook that is there is in force.
    fn is_enabled(&self) -> bool {
        self.enabled != Value::Known(false)
    }
}

/// The hooks that the group is to have.
pub(super) fn wanted_hooks(plan: &Model) -> Vec<aws::Hook> {
    [(LAUNCH_HOOK, &plan.launch_hook), (TERMINATION_HOOK, &plan.termination_hook)]
        .into_iter()
        .filter_map(|(kind, hook)| {
            let hook = hook.get().filter(|hook| hook.is_enabled())?;
            Some(aws::Hook {
                name: kind.name.to_owned(),
                transition: kind.transition.to_owned(),
                default_result: hook.default_result.clone().unwrap_or_default(),
                heartbeat_timeout: hook.heartbeat_timeout.unwrap_or_default(),
            })
        })
        .collect()
}

/// What the scanner is told of its group and the hooks that it is to complete.
pub(super) fn told_of(model: &Model) -> Lifecycle {
    Lifecycle {
        group: model.name.clone().unwrap_or_default(),
        launch_hook: LAUNCH_HOOK.name_if(&model.launch_hook).map(str::to_owned),
        termination_hook: TERMINATION_HOOK.name_if(&model.termination_hook).map(str::to_owned),
    }
}

/// Takes over our hooks of a group. One of our names that is about something else is none of ours, so that the plan sets
/// it anew.
pub(super) fn observe_hooks(model: &mut Model, hooks: &[aws::Hook]) {
    let find = |kind: &HookKind, before: &Value<Hook>| {
        let found = hooks.iter().find(|hook| hook.name == kind.name && hook.transition == kind.transition);
        match (found, before.get()) {
            (Some(hook), _) => Hook {
                enabled: true.into(),
                heartbeat_timeout: hook.heartbeat_timeout.into(),
                default_result: hook.default_result.as_str().into(),
            },
            // How it would be is nothing that AWS knows.
            (None, Some(before)) => Hook { enabled: false.into(), ..before.clone() },
            (None, None) => Hook {
                enabled: false.into(),
                heartbeat_timeout: kind.heartbeat_timeout.into(),
                default_result: kind.default_result.into(),
            },
        }
    };
    model.launch_hook = find(&LAUNCH_HOOK, &model.launch_hook).into();
    model.termination_hook = find(&TERMINATION_HOOK, &model.termination_hook).into();
}

/// How instances are to be replaced by ones of `template`.
pub(super) fn new_refresh(plan: &Model, template: TemplateRef, can_roll_back: bool) -> NewRefresh {
    let hardening = Hardening::required();
    let wanted = plan.instance_refresh.clone().unwrap_or_default();
    NewRefresh {
        template,
        auto_rollback: can_roll_back && wanted.auto_rollback.unwrap_or_default(),
        bake_time: wanted.bake_time.unwrap_or_default(),
        alarms: wanted.alarms.unwrap_or_default(),
        instance_warmup: wanted.instance_warmup.known(),
        skip_matching: wanted.skip_matching.unwrap_or_default(),
        min_healthy_percentage: hardening.min_healthy_percentage.unwrap_or_default(),
        max_healthy_percentage: hardening.max_healthy_percentage.unwrap_or_default(),
    }
}
