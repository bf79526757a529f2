//! Slack's limits on a message: a table of every number with the page that documents it.
//!
//! Lengths are counted in UTF-16 code units, which are never fewer than characters. So a limit
//! holds whichever of the two Slack counts. Escaped entities count as they are written.

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What the limit is for, as in remarks.
    pub of: &'static str,
    /// The largest allowed length or number.
    pub max: usize,
    /// The page of Slack's documentation.
    pub source: &'static str,
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $max:literal, $of:literal, $source:literal;)*) => {
        $($(#[$doc])* pub const $name: Limit = Limit { of: $of, max: $max, source: $source };)*

        /// Every limit of the table.
        pub const ALL: &[Limit] = &[$($name),*];
    };
}

limits! {
    /// Blocks in one message.
    BLOCKS = 50, "blocks", "https://docs.slack.dev/reference/block-kit/blocks";
    /// A block's id. A longer id is left out, and Slack generates one.
    BLOCK_ID = 255, "block_id", "https://docs.slack.dev/reference/block-kit/blocks";
    /// The top-level text. Slack recommends 4,000 (longer texts are posted as several messages) and
    /// cuts at 40,000.
    MESSAGE_TEXT = 4_000, "text", "https://docs.slack.dev/reference/methods/chat.postMessage";
    /// A text object without a lower limit of its own, such as those of a context block.
    TEXT = 3_000, "context text", "https://docs.slack.dev/reference/block-kit/composition-objects/text-object";
    /// Text of a section.
    SECTION_TEXT = 3_000, "section text", "https://docs.slack.dev/reference/block-kit/blocks/section-block";
    /// Fields of a section.
    SECTION_FIELDS = 10, "section fields", "https://docs.slack.dev/reference/block-kit/blocks/section-block";
    /// Text of one field of a section.
    FIELD_TEXT = 2_000, "field text", "https://docs.slack.dev/reference/block-kit/blocks/section-block";
    /// Text of a header.
    HEADER_TEXT = 150, "header text", "https://docs.slack.dev/reference/block-kit/blocks/header-block";
    /// Elements of a context block.
    CONTEXT_ELEMENTS = 10, "context elements", "https://docs.slack.dev/reference/block-kit/blocks/context-block";
    /// Elements of an actions block.
    ACTIONS_ELEMENTS = 25, "actions elements", "https://docs.slack.dev/reference/block-kit/blocks/actions-block";
    /// All markdown blocks of a message together.
    MARKDOWN_TEXT = 12_000, "markdown text", "https://docs.slack.dev/reference/block-kit/blocks/markdown-block";
    /// URL of an image.
    IMAGE_URL = 3_000, "image_url", "https://docs.slack.dev/reference/block-kit/blocks/image-block";
    /// Description of an image.
    ALT_TEXT = 2_000, "alt_text", "https://docs.slack.dev/reference/block-kit/blocks/image-block";
    /// Title of an image.
    IMAGE_TITLE = 2_000, "image title", "https://docs.slack.dev/reference/block-kit/blocks/image-block";
    /// An element's action id. A longer id is left out.
    ACTION_ID = 255, "action_id", "https://docs.slack.dev/reference/block-kit/block-elements/button-element";
    /// Label of a button.
    BUTTON_TEXT = 75, "button text", "https://docs.slack.dev/reference/block-kit/block-elements/button-element";
    /// URL that a button opens.
    BUTTON_URL = 3_000, "button url", "https://docs.slack.dev/reference/block-kit/block-elements/button-element";
    /// Value that a button returns.
    BUTTON_VALUE = 2_000, "button value", "https://docs.slack.dev/reference/block-kit/block-elements/button-element";
    /// Label of a button for screen readers.
    ACCESSIBILITY_LABEL = 75, "accessibility_label", "https://docs.slack.dev/reference/block-kit/block-elements/button-element";
    /// Prompt of a menu or picker.
    PLACEHOLDER = 150, "placeholder", "https://docs.slack.dev/reference/block-kit/block-elements/select-menu-element";
    /// Options of a select menu.
    SELECT_OPTIONS = 100, "select options", "https://docs.slack.dev/reference/block-kit/block-elements/select-menu-element";
    /// Options of an overflow menu.
    OVERFLOW_OPTIONS = 5, "overflow options", "https://docs.slack.dev/reference/block-kit/block-elements/overflow-menu-element";
    /// Options of radio buttons and checkboxes.
    CHOICE_OPTIONS = 10, "choice options", "https://docs.slack.dev/reference/block-kit/block-elements/checkboxes-element";
    /// Label or description of an option.
    OPTION_TEXT = 75, "option text", "https://docs.slack.dev/reference/block-kit/composition-objects/option-object";
    /// Value that an option returns.
    OPTION_VALUE = 150, "option value", "https://docs.slack.dev/reference/block-kit/composition-objects/option-object";
    /// URL that an option of an overflow menu opens.
    OPTION_URL = 3_000, "option url", "https://docs.slack.dev/reference/block-kit/composition-objects/option-object";
    /// Title of a confirmation dialog.
    CONFIRM_TITLE = 100, "confirm title", "https://docs.slack.dev/reference/block-kit/composition-objects/confirmation-dialog-object";
    /// Text of a confirmation dialog.
    CONFIRM_TEXT = 300, "confirm text", "https://docs.slack.dev/reference/block-kit/composition-objects/confirmation-dialog-object";
    /// Buttons of a confirmation dialog.
    CONFIRM_BUTTON = 30, "confirm button", "https://docs.slack.dev/reference/block-kit/composition-objects/confirmation-dialog-object";
}

/// Total weight of a message's blocks that `chat.postMessage` accepts, see [`crate::fit::weight`].
///
/// Slack refuses more with `msg_blocks_too_long` but documents no number. Its maintainers mention
/// 12,000 characters and some room for the containers
/// (<https://github.com/slackapi/bolt-js/issues/2509>). So this limit is not enforced in advance.
/// It is used to shorten a message that was refused with that code.
pub const BLOCKS_WEIGHT: usize = 12_000;
