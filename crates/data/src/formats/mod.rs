//! The dataset formats, one file each; [`table()`](crate::table()) lists them.

/// The table of formats, a line each: its name, its configuration, and its file.
macro_rules! datasets {
    ($declare:ident) => {
        $declare! {
            Ade20k(Ade20kConfig, ade20k),
            PascalVoc(PascalVocConfig, voc),
            Folder(FolderConfig, folder),
            Synthetic(SyntheticConfig, synthetic),
            Coco(CocoConfig, coco),
            PascalVocDetection(PascalVocDetectionConfig, voc_detection),
            ClothingCoParsing(ClothingCoParsingConfig, clothing_co_parsing),
            PascalMt(PascalMtConfig, pascal_mt),
            NyudMt(NyudMtConfig, nyud_mt),
            RedKitchen(RedKitchenConfig, red_kitchen),
        }
    };
}
pub(crate) use datasets;

pub mod ade20k;
pub mod clothing_co_parsing;
pub mod coco;
pub mod folder;
pub(crate) mod layout;
pub(crate) mod list;
pub mod nyud_mt;
pub mod pascal_mt;
pub mod red_kitchen;
pub mod synthetic;
pub mod voc;
pub mod voc_detection;
